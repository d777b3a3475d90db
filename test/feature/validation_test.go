package feature

import (
	"fmt"
	"strings"
	"testing"
)

// violations is "status code pointer pointer": what is wrong, by place.
func violations(a Answer) string {
	p := a.Problem()
	out := fmt.Sprint(a.Status, " ", p.Code)
	for _, e := range p.Errors {
		out += " " + e.Pointer
		if e.Message == "" {
			out += "(no message)"
		}
	}
	if a.Seen().Service != "" {
		out = "passed " + a.Seen().Body
	}
	return out
}

func TestValidation(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+Validation("v", guarded, `rules:
  when: ["!request.path.startsWith('/free')"]
  checks:
    order:
      methods: [POST]
      maxBodyBytes: 100
      contentTypes: [application/json]
      headers: [{name: X-Request, required: true, pattern: "[a-z]+"}]
      jsonSchema:
        inline:
          type: object
          required: [item, quantity]
          additionalProperties: false
          properties:
            item: {type: string, minLength: 1}
            quantity: {type: integer, minimum: 1}
            tags: {type: array, items: {type: string}}
    list:
      methods: [GET]
      query: [{name: limit, type: integer, minimum: 1, maximum: 100}, {name: sort, enum: [up, down]}, {name: all, type: boolean}]`))
	is := func(want, line, body string, fields ...string) {
		t.Helper()
		before := w.Backend("shop/api").Asked()
		if got := violations(w.Send(line, body, fields...)); got != want {
			t.Errorf("%s %s: %s, want %s", line, body, got, want)
		}
		if asked := w.Backend("shop/api").Asked() - before; asked != btoi(strings.HasPrefix(want, "passed")) {
			t.Errorf("%s %s: the backend was asked %d times", line, body, asked)
		}
	}
	const json, id = "content-type: application/json; charset=utf-8", "x-request: abc"
	const good = `{"item":"cup","quantity":2,"tags":["a"]}`
	is("passed "+good, "POST http://a/", good, json, id)
	is("422 body_invalid /quantity", "POST http://a/", `{"item":"cup","quantity":0}`, json, id)
	is("422 body_invalid  /item /quantity /tags/1", "POST http://a/", `{"item":"","quantity":1.5,"tags":["a",1],"x~y":1}`, json, id)
	is("422 body_invalid ", "POST http://a/", `{"item":"cup"}`, json, id)
	is("400 body_not_json", "POST http://a/", `{"item":`, json, id)
	is("400 body_not_json", "POST http://a/", good+good, json, id)
	is("400 body_not_json", "POST http://a/", `{"item":"cup","quantity":0,"quantity":2}`, json, id)
	is("400 body_not_json", "POST http://a/", "", json, id)
	is("415 content_type_unsupported", "POST http://a/", good, id)
	is("415 content_type_unsupported", "POST http://a/", good, id, "content-type: text/plain")
	is("415 content_type_unsupported", "POST http://a/", good, id, json, "content-encoding: gzip")
	is("413 content_too_large", "POST http://a/", `{"item":"`+strings.Repeat("x", 100)+`","quantity":2}`, json, id)
	is("400 parameter_invalid /headers/x-request", "POST http://a/", good, json)
	is("400 parameter_invalid /headers/x-request", "POST http://a/", good, json, "x-request: ab1")
	is("passed ", "GET http://a/?limit=100&sort=up&all=true&other=x", "")
	is("passed ", "GET http://a/", "")
	is("400 parameter_invalid /query/limit /query/sort /query/all", "GET http://a/?limit=101&sort=left&all=yes", "")
	is("400 parameter_invalid /query/limit", "GET http://a/?limit=1e1", "")
	is("passed anything", "PUT http://a/", "anything")
	is("passed x", "POST http://a/free", "x")
	if ask := w.Send("POST http://a/", "x", id).Header.Get("Accept"); ask != "application/json" {
		t.Errorf("415 names %q", ask)
	}
	for _, m := range []struct{ cause, want string }{{"body_invalid", "3"}, {"content_too_large", "1"}} {
		if got := w.Metric(`gatehouse_validation_refusals_total{cause="` + m.cause + `",policy="ValidationPolicy shop/v"}`); got != m.want {
			t.Errorf("%s counted %s times, want %s", m.cause, got, m.want)
		}
	}
}

// A schema of a ConfigMap is followed as it changes; without it the rule waits, alone.
func TestSchemaOfAConfigMap(t *testing.T) {
	t.Parallel()
	schema := func(text string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: schemas, namespace: shop}\ndata: {order: %q}\n---\n", text)
	}
	w := Start(t, Base+Route("r", `{name: one, matches: [{path: {value: /one}}], backendRefs: [{name: api, port: 80}]}`, toAPI)+
		Validation("v", "HTTPRoute/r/one", `rules: {checks: {order: {methods: [POST], jsonSchema: {configMapRef: {name: schemas, key: order}}}}}`))
	is := func(want, path, body string) {
		t.Helper()
		if got := violations(w.Send("POST http://a"+path, body, "content-type: application/json")); got != want {
			t.Errorf("%s %s: %s, want %s", path, body, got, want)
		}
		if got := violations(w.Send("POST http://a/two", "x")); got != "passed x" {
			t.Errorf("the other rule: %s", got)
		}
	}
	is("503 policy_unavailable", "/one", "1")
	w.Apply(schema(`{"type":"integer"}`))
	is("passed 1", "/one", "1")
	is("422 body_invalid ", "/one", `"a"`)
	w.Apply(schema(`{"type":"string"}`))
	is("422 body_invalid ", "/one", "1")
	is(`passed "a"`, "/one", `"a"`)
	w.Apply(schema(`{"type":"nonsense"}`))
	if a := w.Send("POST http://a/one", "1", "content-type: application/json"); a.Status != 503 && a.Status != 500 {
		t.Errorf("a broken schema lets pass: %d", a.Status)
	}
	w.Apply(schema(`{"type":"integer"}`))
	is("passed 1", "/one", "1")
}

func TestValidationMerges(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	is := func(want string, size int, fields ...string) {
		t.Helper()
		if got := violations(w.Send("POST http://a/", strings.Repeat("x", size), fields...)); got != want && !strings.HasPrefix(got, want+" x") {
			t.Errorf("%d %v: %s, want %s", size, fields, got, want)
		}
	}
	gateway := func(section string) {
		w.Apply(Validation("g", "Gateway/edge", section+`: {strategy: Merge, rules: {checks: {size: {maxBodyBytes: 10}, sort: {contentTypes: [text/plain]}}}}`))
	}
	w.Apply(Validation("r", guarded, `rules: {checks: {size: {maxBodyBytes: 20}}}`))
	gateway("defaults")
	is("passed", 20, "content-type: text/plain")
	is("413 content_too_large", 21, "content-type: text/plain")
	is("415 content_type_unsupported", 5)
	gateway("overrides")
	is("passed", 10, "content-type: text/plain")
	is("413 content_too_large", 11, "content-type: text/plain")
}

// Authentication is asked first: who may not come in learns nothing of the format.
func TestAuthenticationComesFirst(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}}`)+
		Validation("v", guarded, `rules: {checks: {size: {maxBodyBytes: 3}}}`))
	for want, fields := range map[string][]string{"401 auth_missing": nil, "413 content_too_large": {"x-api-key: k-good"}} {
		if got := violations(w.Send("POST http://a/", "long content", fields...)); got != want {
			t.Errorf("%v: %s, want %s", fields, got, want)
		}
	}
}
