package feature

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestRewrites(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	rewrites := func(match, filter string) func(line, host, target string) {
		w.Apply(Route("r", `{matches: [{path: `+match+`}], filters: [{type: URLRewrite, urlRewrite: `+filter+`}], backendRefs: [{name: api, port: 80}]}`))
		return func(line, host, target string) {
			t.Helper()
			if seen := w.Do(line).Seen(); seen.Host != host || seen.Path != target {
				t.Errorf("%s with %s: backend saw %s%s, want %s%s", line, filter, seen.Host, seen.Path, host, target)
			}
		}
	}
	to := rewrites(`{value: /v1}`, `{hostname: in.example}`)
	to("GET http://a.example:99/v1/x?q=1", "in.example", "/v1/x?q=1")
	to = rewrites(`{value: /v1}`, `{path: {type: ReplaceFullPath, replaceFullPath: /all}}`)
	to("GET http://a.example/v1/x?q=1", "a.example", "/all?q=1")
	to = rewrites(`{value: /v1/}`, `{path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}`)
	to("GET http://a.example/v1", "a.example", "/v2")
	to("GET http://a.example/v1/", "a.example", "/v2/")
	to("GET http://a.example/v1/x%20y?q=%2F", "a.example", "/v2/x%20y?q=%2F")
	to = rewrites(`{value: /v1}`, `{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}`)
	to("GET http://a.example/v1", "a.example", "/")
	to("GET http://a.example/v1/x", "a.example", "/x")
	to = rewrites(`{value: /v1}`, `{path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2/}}`)
	to("GET http://a.example/v1/x", "a.example", "/v2/x")
	to = rewrites(`{value: /}`, `{hostname: in.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}`)
	to("GET http://a.example/x", "in.example", "/v2/x")
}

func TestHeaderModifiers(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("two"))
	request := func(change string) string {
		return `{type: RequestHeaderModifier, requestHeaderModifier: {` + change + `}}`
	}
	response := func(change string) string {
		return `{type: ResponseHeaderModifier, responseHeaderModifier: {` + change + `}}`
	}
	const change = `set: [{name: X-Set, value: "1"}], add: [{name: X-Add, value: "2"}], remove: [X-Remove]`
	w.Apply(Route("r",
		`{matches: [{path: {value: /rule}}], filters: [`+request(change)+`, `+response(change)+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /ref}}], filters: [`+request(`add: [{name: X-Where, value: rule}]`)+`, `+response(`add: [{name: X-Where, value: rule}]`)+`], backendRefs: [`+
			`{name: api, port: 80, filters: [`+request(`add: [{name: X-Where, value: api}]`)+`, `+response(`add: [{name: X-Where, value: api}]`)+`]}, `+
			`{name: two, port: 80, filters: [`+request(`set: [{name: X-Where, value: two}]`)+`]}]}`))
	all := func(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Set", "X-Add", "X-Remove"} {
			rw.Header().Add(name, "backend")
		}
		rw.Header().Set("X-Seen", all(r.Header, "X-Set")+"|"+all(r.Header, "X-Add")+"|"+all(r.Header, "X-Remove")+"|"+all(r.Header, "X-Where"))
	})
	is := func(got Answer, name, want string) {
		t.Helper()
		if v := all(got.Header, name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	got := w.Do("GET http://a/rule", "x-set: 0", "x-set: 00", "x-add: 0", "x-remove: 0")
	is(got, "X-Seen", "1|0,2||")
	is(got, "X-Set", "1")
	is(got, "X-Add", "backend,2")
	is(got, "X-Remove", "")
	is(w.Do("GET http://a/rule"), "X-Seen", "1|2||")

	// On a backendRef they come after the rule's, and only for it.
	times := map[string]int{}
	for range 100 {
		got = w.Do("GET http://a/ref")
		seen := got.Seen()
		times[seen.Service]++
		if seen.Service == "shop/two" {
			is(Answer{Header: seen.Header}, "X-Where", "two")
			is(got, "X-Where", "rule")
			continue
		}
		is(got, "X-Seen", "|||rule,api")
		if v := all(got.Header, "X-Where"); v != "rule,api" && v != "api,rule" {
			t.Errorf("the answer's X-Where is %q", v)
		}
	}
	if len(times) != 2 {
		t.Errorf("the requests went to %v", times)
	}
}

// Filters of a backendRef do their work for its share of the requests, and for
// no other.
func TestBackendFilters(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("two")+Service("three"))
	w.Apply(Route("r",
		`{matches: [{path: {value: /v1}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Rule, value: "1"}]}}], backendRefs: [`+
			`{name: api, port: 80, weight: 2, filters: [{type: URLRewrite, urlRewrite: {hostname: in.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}]}, `+
			`{name: two, port: 80, weight: 1, filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 307}}]}, `+
			`{name: three, port: 80, weight: 1}]}`,
		`{matches: [{path: {value: /none}}], backendRefs: [`+
			`{name: api, port: 80}, {name: two, port: 80, weight: 0, filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example}}]}]}`,
		`{matches: [{path: {value: /gone}}], backendRefs: [{name: gone, port: 80, filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example}}]}]}`))
	count := map[string]int{}
	client := w.Client("")
	for range 400 {
		got := w.Over(client, "GET http://a.example/v1/x?q=1", "")
		seen := got.Seen()
		kind := seen.Service + seen.Host + seen.Path + got.Header.Get("Location")
		count[kind]++
		if seen.Service != "" && seen.Header["X-Rule"] == nil {
			t.Fatalf("%s does not see what the rule has set", seen.Service)
		}
	}
	for kind, want := range map[string]int{"shop/apiin.example/v2/x?q=1": 200, "http://new.example/new/x?q=1": 100, "shop/threea.example/v1/x?q=1": 100} {
		if n := count[kind]; n < want-50 || n > want+50 {
			t.Errorf("%s: %d of 400, want about %d", kind, n, want)
		}
	}
	if len(count) != 3 || w.Backend("shop/two").Asked() != 0 {
		t.Errorf("requests became %v", count)
	}
	for range 50 {
		if got := w.Over(client, "GET http://a.example/none", ""); got.Status != 200 {
			t.Fatalf("a backend without weight redirects: %d", got.Status)
		}
	}
	if got := w.Over(client, "GET http://a.example/gone", ""); got.Code() != "backend_not_found" {
		t.Errorf("a redirect of a backend that does not exist: %d %s", got.Status, got.Code())
	}
}
