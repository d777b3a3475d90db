package feature

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMatches(t *testing.T) {
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
