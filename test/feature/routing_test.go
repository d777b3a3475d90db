package feature

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// Tests wait more than they compute, so more of them run at one time than a small
// machine has CPUs. Those that are not parallel measure memory or time, count on
// answers within a fraction of a second, or send hundreds one after the other; they
// run first, one by one.
func TestMain(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// given says whether a flag is on the command line.
func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

func TestMatches(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+`
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {ports: [{port: 80}]}
---
`+Route("paths",
		`{matches: [{path: {type: Exact, value: /exact}}], backendRefs: [{name: other, port: 80}]}`,
		`{matches: [{path: {type: RegularExpression, value: "/item-[0-9]+"}}], backendRefs: [{name: other, port: 80}]}`,
		`{matches: [{path: {value: /v1}, method: POST}], backendRefs: [{name: other, port: 80}]}`,
		`{matches: [{path: {value: /v1}, headers: [{name: X-Env, value: test}]}], backendRefs: [{name: other, port: 80}]}`,
		`{matches: [{path: {value: /v1}, queryParams: [{name: a, value: "1 2"}]}], backendRefs: [{name: other, port: 80}]}`,
		`{matches: [{path: {value: /v1}}], backendRefs: [{name: api, port: 80}]}`,
	))
	goes := func(service, line string, fields ...string) {
		t.Helper()
		if got := w.Do(line, fields...); got.Seen().Service != service {
			t.Errorf("%s %v went to %q (%d), want %q", line, fields, got.Seen().Service, got.Status, service)
		}
	}
	goes("shop/other", "GET http://a/exact")
	goes("", "GET http://a/exact/more")
	goes("shop/other", "GET http://a/item-12")
	goes("", "GET http://a/item-x")
	goes("shop/api", "GET http://a/v1")
	goes("shop/api", "GET http://a/v1/more?x=1")
	goes("", "GET http://a/v11")
	goes("shop/other", "POST http://a/v1/more")
	goes("shop/other", "GET http://a/v1", "x-env: test")
	goes("shop/api", "GET http://a/v1", "x-env: tests")
	goes("shop/other", "GET http://a/v1?a=1+2")
	goes("shop/other", "GET http://a/v1?b=0&a=1%202")
	goes("shop/api", "GET http://a/v1?a=12")
}
