package feature

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/proxy/decision"
)

// gatehouse runs the command line against w's admin address.
func gatehouse(t testing.TB, w *World, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := command.New(&out, io.Discard)
	c.SetArgs(append(args, "--admin-address", w.Server.AdminAddr().String()))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

const whyPolicy = `rules: {authentication: {keys: {` + apiKeys + `}}, authorization: {paths: {cel: "request.path != '/no'"}}}`

// why asks about a decision. It is kept once the answer is written, which is a
// moment after the caller has it.
func why(t *testing.T, w *World, id string) (text string) {
	t.Helper()
	w.Until("the decision is kept", func() bool {
		var err error
		text, err = gatehouse(t, w, "why", id)
		return err == nil
	})
	return text
}

func TestWhy(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, whyPolicy))
	id := w.Do("GET http://a/no?token=planted-secret", "x-api-key: k-good", "cookie: planted-secret").Problem().ID
	text := why(t, w, id)
	contains(t, text, "decision "+id, "403 forbidden_by_rule", "GET a/no from 127.0.0.1", "HTTPRoute shop/r 0", "AuthPolicy shop/a", "request.path != '/no'")
	structured, err := gatehouse(t, w, "why", id, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var r decision.Record
	if err := json.Unmarshal([]byte(structured), &r); err != nil || r.ID != id || r.Policy != "AuthPolicy shop/a" || len(r.Steps) != 4 {
		t.Errorf("%v %+v", err, r)
	}
	for _, secret := range []string{"planted-secret", "k-good"} {
		if strings.Contains(text+structured, secret) {
			t.Errorf("%q shows in\n%s%s", secret, text, structured)
		}
	}
	list, err := gatehouse(t, w, "why")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, list, id, "403 forbidden_by_rule")
	if text, err := gatehouse(t, w, "why", "0000000000000000"); err == nil {
		t.Errorf("an id nobody made was explained: %s", text)
	}
	// What no policy refused has an id too.
	w.Delete(Route("r", toAPI))
	contains(t, why(t, w, w.Do("GET http://a/").Problem().ID), "404 no_route")
}

// What would have passed is told of what was asked for, tried or not.
func TestWhyRequirement(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, `rules: {require: "cook && keys", authentication: {keys: {`+apiKeys+`}, cook: {`+apiKeys[:len(apiKeys)-1]+`, from: [{cookie: key}]}}, idle: {`+apiKeys+`}}}`))
	text := why(t, w, w.Do("GET http://a/").Problem().ID)
	contains(t, text, "what would have passed:", "method cook: ", "method keys: ")
	if strings.Contains(text, "method idle: ") {
		t.Error(text)
	}
	text, err := gatehouse(t, w, "explain", "GET", "http://a/", "-H", "X-API-Key: k-good", "-H", "Cookie: key=k-good")
	if err != nil || !strings.Contains(text, "forwarded") || strings.Contains(text, "would have passed") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestWhyShadow(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, "mode: Shadow\n"+whyPolicy))
	if a := w.Do("GET http://a/"); a.Status != 200 {
		t.Fatal(a)
	}
	var records []decision.Record
	w.Until("the decision is kept", func() bool {
		list, err := gatehouse(t, w, "why", "--output", "json")
		if records = nil; err == nil { // what an earlier look found must not shine through
			err = json.Unmarshal([]byte(list), &records)
		}
		return err == nil && len(records) == 1
	})
	if r := records[0]; r.Shadow != "auth_missing" || r.Status != 200 || r.Policy != "AuthPolicy shop/a" || len(r.Steps) == 0 || !r.Steps[0].Shadow {
		t.Errorf("%+v", r)
	}
}

// One rule is watched while the rest of its policy is enforced.
func TestShadowRule(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, `rules: {authorization: {`+
		`paths: {cel: "request.path != '/no'"}, `+
		`reads: {mode: Shadow, cel: "request.method == 'GET'"}, `+
		`odd: {mode: Shadow, when: ["request.path == '/odd'"], cel: "request.headers['x-none'] == '1'"}}}`))
	for line, want := range map[string]int{"GET http://a/": 200, "POST http://a/": 200, "GET http://a/odd": 200, "POST http://a/no": 403} {
		if a := w.Do(line); a.Status != want {
			t.Errorf("%s: %d, want %d", line, a.Status, want)
		}
	}
	var records []decision.Record
	w.Until("the decisions are kept", func() bool {
		list, err := gatehouse(t, w, "why", "--output", "json")
		if records = nil; err == nil { // what an earlier look found must not shine through
			err = json.Unmarshal([]byte(list), &records)
		}
		return err == nil && len(records) == 3
	})
	seen := map[string]string{}
	for _, r := range records {
		for _, s := range r.Steps {
			if s.Shadow && s.Code != "" {
				seen[r.Request.Method+" "+r.Request.Path] = r.Shadow + " by " + s.Name
			}
		}
	}
	text, err := gatehouse(t, w, "explain", "GET", "http://a/odd")
	if err != nil {
		t.Error(err)
	}
	contains(t, text, "why it failed: rule odd: no such key: x-none")
	want := map[string]string{"POST /": "forbidden_by_rule by reads", "GET /odd": "rule_error by odd"}
	if !maps.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	metrics := w.Admin("/metrics")
	contains(t, metrics, `gatehouse_shadow_denials_total{cause="forbidden_by_rule",policy="AuthPolicy shop/a"} 1`,
		`gatehouse_shadow_denials_total{cause="rule_error",policy="AuthPolicy shop/a"} 1`)
}

func TestExplain(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, `rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {inline: `+issuer.KeySet()+`}}}}, `+
		`authorization: {writers: {cel: "request.method == 'GET' || auth.claims.scope == 'write'"}}, `+subject+`}`))
	explain := func(want []string, args ...string) {
		t.Helper()
		text, err := gatehouse(t, w, append([]string{"explain"}, args...)...)
		if err != nil {
			t.Error(err)
		}
		contains(t, text, want...)
	}
	claims := func(more string) string {
		return `{"iss":"` + issuer.URL() + `","aud":"shop","sub":"ann"` + more + `}`
	}
	explain([]string{"answered 401 auth_missing", "staff", "no credential"}, "GET", "http://a/")
	explain([]string{"forwarded", "backend gets x-user: ann", "1 shop/api:80"}, "GET", "http://a/", "--jwt-claims", claims(""))
	text, err := gatehouse(t, w, "explain", "GET", "http://a/", "-H", "Authorization: Bearer "+issuer.Token())
	if err != nil || !strings.Contains(text, "forwarded") || strings.Contains(text, "(not shown)") { // the token goes no further
		t.Errorf("%v: %s", err, text)
	}
	explain([]string{"answered 403 forbidden_by_rule", "auth.claims.scope == 'write'"}, "POST", "http://a/", "--jwt-claims", claims(`,"scope":"read"`))
	explain([]string{"forwarded"}, "POST", "http://a/", "--jwt-claims", claims(`,"scope":"write"`))
	explain([]string{"answered 401 auth_missing"}, "GET", "http://127.0.0.1/", "-H", "host: a") // as curl asks
	explain([]string{"answered 400 bad_method: the method is not a token in upper case"}, "delete", "http://a/", "--jwt-claims", claims(""))
	explain([]string{"answered 400 bad_host"}, "GET", "http://a/", "-H", "Host: a@b")
	explain([]string{"answered 400 bad_header_name"}, "GET", "http://a/", "-H", "X Y: 1")
	w.Delete(Route("r", toAPI))
	explain([]string{"answered 404 no_route"}, "GET", "http://a/")
	for _, args := range [][]string{{"GET", "a/"}, {"GE T", "http://a/"}, {"", "http://a/"}, {"GET", "http://a:81/"}, {"GET", "https://a/"}, {"GET", "http://a/", "--client-ip", "me"}, {"GET", "http://a/", "-H", "x"}, {"GET", "http://a/", "--jwt-claims", "1"}} {
		if text, err := gatehouse(t, w, append([]string{"explain"}, args...)...); err == nil {
			t.Errorf("%v: %s", args, text)
		}
	}
	if n := w.Backend("shop/api").Asked(); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
}

func TestExposure(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", ""))
	is := func(want, policy string) {
		t.Helper()
		if policy != "" {
			w.Apply(Auth("a", guarded, policy))
		}
		text, err := gatehouse(t, w, "exposure", "--all")
		if err != nil {
			t.Error(err)
		}
		contains(t, strings.Join(strings.Fields(text), " "), want)
	}
	is("open", "")
	is("closed shop/edge/http", `rules: {authentication: {keys: {`+apiKeys+`}}}`)
	is("open shop/edge/http", `rules: {authentication: {keys: {`+apiKeys+`}, all: {anonymous: {}}}}`)
	is("closed shop/edge/http", `rules: {require: "keys && all", authentication: {keys: {`+apiKeys+`}, all: {anonymous: {}}}}`)
	is("conditional shop/edge/http", `rules: {authorization: {office: {cidrs: {allow: [192.0.2.0/24]}}}}`)
	gated := `rules: {when: ["request.path != '/healthz'"], authentication: {keys: {` + apiKeys + `}}}`
	is("conditional shop/edge/http", gated)
	// What another policy brings does not ask anybody where this one does not apply.
	w.Apply(Auth("z", "Gateway/edge", `defaults: {strategy: Merge, rules: {response: {headers: {x-a: {value: b}}}}}`))
	is("conditional shop/edge/http", gated)
	is("open shop/edge/http", `rules: {authorization: {office: {mode: Shadow, cidrs: {allow: [192.0.2.0/24]}}}}`)
	is("closed shop/edge/http", `rules: {public: {reason: a status page, expiresAt: "2020-01-01T00:00:00Z"}}`)
	is("conditional shop/edge/http", `rules: {when: ["request.path != '/healthz'"], public: {reason: a status page, expiresAt: "2020-01-01T00:00:00Z"}}`)
}

// Without a gateway nobody is asked: what depends on an answer is said to.
func TestExplainOffline(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "all.yaml")
	text := Base + Route("r", toAPI) + "apiVersion: v1\nkind: Secret\nmetadata: {name: client, namespace: shop}\nstringData: {client-id: a, client-secret: b}\n---\n" +
		Auth("a", guarded, `rules: {authentication: {apps: {introspection: {backendRef: {name: api, port: 80}, path: /introspect, clientSecretRef: {name: client}, audiences: [shop]}}, all: {anonymous: {}}}, `+
			`authorization: {paths: {cel: "request.path != '/no'"}, quota: {when: ["request.path == '/asked'"], externalAuth: {http: {}, backendRef: {name: api, port: 80}}}}}`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"http://a/":      "forwarded",
		"http://a/no":    "answered 403 forbidden_by_rule",
		"http://a/asked": "answered 503 external_auth_unavailable",
	} {
		var out bytes.Buffer
		c := command.New(&out, &out)
		c.SetArgs([]string{"explain", "GET", line, "-f", file})
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Error(err)
		}
		contains(t, out.String(), want)
	}
	var out bytes.Buffer
	c := command.New(&out, &out)
	c.SetArgs([]string{"explain", "GET", "http://a/", "-f", file, "-H", "Authorization: Bearer opaque"})
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Error(err)
	}
	contains(t, out.String(), "introspection_unavailable")
}

// A Gateway that is not there is named, with those that are.
func TestExplainAnotherGateway(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	if _, err := gatehouse(t, w, "explain", "GET", "http://a/", "--gateway", "shop/egde"); err == nil || !strings.Contains(err.Error(), "no Gateway shop/egde listens for HTTP; there is: shop/edge") {
		t.Errorf("got %v", err)
	}
}

// Where nothing listens there is a hint why not.
func TestExplainWithoutGateways(t *testing.T) {
	t.Parallel()
	w := Start(t, strings.ReplaceAll(Base, "gatehouse.dev/gateway-controller", "else.example/controller")+Route("r", toAPI))
	if _, err := gatehouse(t, w, "explain", "GET", "http://a/"); err == nil || !strings.Contains(err.Error(), "no Gateway listens at all") || !strings.Contains(err.Error(), "controllerName") {
		t.Errorf("%v", err)
	}
	w = Start(t, Base+Route("r", toAPI))
	if _, err := gatehouse(t, w, "explain", "GET", "http://a:9999/"); err == nil || !strings.Contains(err.Error(), "no Gateway listens for http on port 9999; there is: shop/edge port 80") {
		t.Errorf("%v", err)
	}
}

// An address that is empty, as an unset variable makes it, names nobody to ask.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"exposure"}, {"explain", "GET", "http://a/"}} {
		c := command.New(io.Discard, io.Discard)
		c.SetArgs(append(args, "--admin-address="))
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--admin-address") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestDebugDecisionsBounds(t *testing.T) {
	t.Parallel()
	w := Start(t, Base)
	for _, path := range []string{"/debug/decisions?n=0", "/debug/decisions?n=x", "/debug/decisions?n=1025"} {
		if status := adminStatus(t, w, path); status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := adminStatus(t, w, "/debug/decisions/x"); status != http.StatusNotFound {
		t.Error(status)
	}
}

func adminStatus(t *testing.T, w *World, path string) int {
	t.Helper()
	a, err := http.Get("http://" + w.Server.AdminAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	return a.StatusCode
}
