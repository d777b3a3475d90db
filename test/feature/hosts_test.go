package feature

import "testing"

const toAPI = `{backendRefs: [{name: api, port: 80}]}`

// goesTo checks which Service a request reaches, "shop/api", or that it reaches none.
func goesTo(t *testing.T, w *World) func(service, line string, fields ...string) {
	return func(service, line string, fields ...string) {
		t.Helper()
		got := w.Do(line, fields...)
		if to := got.Seen().Service; to != service || service == "" && got.Code() != "no_route" {
			t.Errorf("%s %v went to %q (%d %s), want %q", line, fields, to, got.Status, got.Code(), service)
		}
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("exact")+Service("deep")+Service("wild")+
		HostRoute("exact", "shop.example", `{matches: [{path: {value: /v1}}], backendRefs: [{name: exact, port: 80}]}`)+
		HostRoute("deep", `"*.eu.shop.example"`, `{backendRefs: [{name: deep, port: 80}]}`)+
		HostRoute("wild", `"*.example"`, `{backendRefs: [{name: wild, port: 80}]}`)+
		Route("any", `{matches: [{path: {value: /any}}], backendRefs: [{name: api, port: 80}]}`))
	goes := goesTo(t, w)
	goes("shop/exact", "GET http://shop.example/v1")
	goes("shop/exact", "GET http://SHOP.Example/v1")
	goes("shop/exact", "GET http://shop.example:8080/v1")
	goes("shop/exact", "GET http://shop.example./v1")
	goes("shop/deep", "GET http://a.eu.shop.example/v1")
	goes("shop/deep", "GET http://b.a.eu.shop.example/v1")
	goes("shop/wild", "GET http://eu.shop.example/v1")
	goes("shop/wild", "GET http://other.example/v1")
	goes("shop/wild", "GET http://a.b.c.example/")
	goes("", "GET http://example/")
	goes("", "GET http://else.test/")
	goes("shop/api", "GET http://else.test/any")
	goes("shop/api", "GET http://example/any")
	goes("shop/api", "GET http://127.0.0.1/any")
	// What the narrower host has no rule for is looked for in the wider ones.
	goes("shop/wild", "GET http://shop.example/v2")
	goes("shop/wild", "GET http://shop.example/any")
}

// A request belongs to the listener whose host name fits best, and to no other:
// what that one has no route for is 404 (Gateway API, listener isolation).
func TestListenersOfOnePort(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Gateway("edge",
		`{name: any, protocol: HTTP, port: 80}`,
		`{name: wide, protocol: HTTP, port: 80, hostname: "*.example"}`,
		`{name: shop, protocol: HTTP, port: 80, hostname: shop.example}`,
		`{name: http, protocol: HTTP, port: 80, hostname: "*.shop.example"}`)+
		Service("any")+Service("wide")+Service("shop")+Service("below")+
		OnListener("any", Route("any", `{backendRefs: [{name: any, port: 80}]}`))+
		OnListener("wide", Route("wide", `{backendRefs: [{name: wide, port: 80}]}`))+
		OnListener("shop", Route("shop", `{matches: [{path: {value: /v1}}], backendRefs: [{name: shop, port: 80}]}`))+
		OnListener("http", HostRoute("below", `"*.eu.shop.example", eu.shop.example, other.test`, `{backendRefs: [{name: below, port: 80}]}`)))
	goes := goesTo(t, w)
	goes("shop/any", "GET http://else.test/")
	goes("shop/any", "GET http://example/")
	goes("shop/wide", "GET http://a.example/")
	goes("shop/shop", "GET http://shop.example/v1")
	goes("", "GET http://shop.example/")
	goes("shop/below", "GET http://eu.shop.example/")
	goes("shop/below", "GET http://a.eu.shop.example/")
	goes("", "GET http://us.shop.example/")
	goes("shop/any", "GET http://other.test/") // the listener's host name has nothing in common with it

	// A route on all listeners is on each with the hosts they share.
	w.Apply(HostRoute("across", `"*.example", shop.example`, `{matches: [{path: {type: Exact, value: /across}}], backendRefs: [{name: api, port: 80}]}`))
	goes("shop/api", "GET http://a.example/across")
	goes("shop/api", "GET http://shop.example/across")
	goes("shop/api", "GET http://us.shop.example/across")
	goes("shop/any", "GET http://else.test/across")
}

// Between routes that match alike the older stands, then the first by name.
func TestWhichRouteStands(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("old")+Service("young")+
		Route("b-old", `{matches: [{path: {value: /a}}], backendRefs: [{name: old, port: 80}]}`)+
		Route("c-young", `{matches: [{path: {value: /a}}], backendRefs: [{name: young, port: 80}]}`))
	goes := goesTo(t, w)
	goes("shop/old", "GET http://a/a")
	w.Apply(Route("a-first", `{matches: [{path: {value: /a}}], backendRefs: [{name: api, port: 80}]}`))
	goes("shop/api", "GET http://a/a")
	w.Delete(Route("a-first", toAPI))
	goes("shop/old", "GET http://a/a")
	// More specific always stands, whatever the age: exact, longer, with a method, with more headers.
	w.Apply(Route("d-last",
		`{matches: [{path: {value: /a}, headers: [{name: x, value: "1"}]}], backendRefs: [{name: young, port: 80}]}`,
		`{matches: [{path: {value: /a}, method: PUT}], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /a/b}}], backendRefs: [{name: young, port: 80}]}`,
		`{matches: [{path: {type: Exact, value: /a/b}}], backendRefs: [{name: api, port: 80}]}`))
	goes("shop/young", "GET http://a/a", "x: 1")
	goes("shop/api", "PUT http://a/a", "x: 1")
	goes("shop/old", "GET http://a/a")
	goes("shop/young", "GET http://a/a/b/c")
	goes("shop/api", "GET http://a/a/b")
}
