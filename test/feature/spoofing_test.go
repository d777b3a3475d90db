package feature

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// No way round the header fields by which the backend knows who calls.
func TestIdentityCannotBeSpoofed(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+key("good", "k-good", "")+ca.Secret("cert", "a.example")+Route("r", toAPI)+
		Gateway("edge", `{name: http, protocol: HTTP, port: 80}`, `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+
		Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}, everybody: {anonymous: {}}}, response: {headers: {x-user: {cel: auth.subject}, x-via: {value: gatehouse}}}}`))
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if n := strings.ToLower(strings.ReplaceAll(name, "_", "-")); n == "x-user" || n == "x-via" || n == "x-api-key" {
				rw.Header().Add("Saw", n+"="+strings.Join(values, ","))
			}
		}
	})
	for proto, c := range map[string]*http.Client{"http/1.1": w.Client(""), "h2c": w.Client("", PriorKnowledge), "h2": w.Client("shop/edge/tls", TLS(ca.Trusted()))} {
		scheme := "http"
		if proto == "h2" {
			scheme = "https"
		}
		told := func(want string, fields ...string) {
			t.Helper()
			r, err := http.NewRequest("POST", scheme+"://a.example/", strings.NewReader("content"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header[name] = append(r.Header[name], value)
			}
			response, err := c.Do(r)
			if err != nil {
				t.Errorf("%s %v: %v", proto, fields, err)
				return
			}
			_ = response.Body.Close()
			saw := map[string]bool{}
			for _, s := range response.Header.Values("Saw") {
				saw[s] = true
			}
			for s := range strings.SplitSeq(want, " & ") {
				if !saw[s] {
					t.Errorf("%s %v: the backend saw %v, want %s", proto, fields, saw, want)
				}
				delete(saw, s)
			}
			if len(saw) > 0 {
				t.Errorf("%s %v: the backend saw %v too", proto, fields, saw)
			}
		}
		told("x-via=gatehouse")
		told("x-via=gatehouse & x-user=good-owner", "X-Api-Key: k-good")
		told("x-via=gatehouse", "X-User: root", "x-user: root", "X_User: root", "x_uSER: root", "X.User: root", "X-Via: me", "x!via: me")
		told("x-via=gatehouse & x-user=good-owner", "X-User: root", "X-Api-Key: k-good")
		if proto == "http/1.1" { // HTTP/2 has no Connection
			told("x-via=gatehouse & x-user=good-owner", "Connection: x-user, x-via", "X-Api-Key: k-good")
		}
	}
}

// A path that backends may take for a guarded one does not reach them by a rule without
// the guard.
func TestVeiledPaths(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+key("good", "k-good", "")+Route("r",
		`{name: admin, matches: [{path: {value: /admin}}], `+toAPI[1:],
		`{name: all, matches: [{path: {value: /}}], `+toAPI[1:])+Auth("a", "HTTPRoute/r/admin", `rules: {authentication: {keys: {`+apiKeys+`}}}`))
	for path, want := range map[string]string{
		"/admin": "401 auth_missing", "//admin": "400 bad_path", "/;/admin": "400 bad_path", "/admin;x=y": "400 bad_path", "/admin%2Fusers": "400 bad_path",
		"//other": "200 ", "/other;x=y": "200 ", "/proxy/https://a.example/admin": "200 ", "/a%2Fadmin": "200 ",
	} {
		a := w.Do("GET http://a" + path)
		if got := fmt.Sprintf("%d %s", a.Status, a.Problem().Code); got != want || a.Status == 200 && a.Seen().Path != path {
			t.Errorf("%s: %s (%s), want %s", path, got, a.Body, want)
		}
	}
}

// Nor by a condition of the path that is false, or true, for the form it is sent in.
func TestVeiledPathsOfConditions(t *testing.T) {
	t.Parallel()
	one := `rules: {authentication: {keys: {` + apiKeys + `}, everybody: {anonymous: {}}}, `
	for name, c := range map[string]struct {
		policy string
		want   map[string]string
	}{
		"guard": {`rules: {when: ["request.path.startsWith('/admin')"], authentication: {keys: {` + apiKeys + `}}}`, map[string]string{
			"/admin": "401 auth_missing", "/%61dmin": "401 auth_missing", "/x/../admin": "401 auth_missing", "/admin//x": "401 auth_missing", "/admin;x": "401 auth_missing",
			"//admin": "403 rule_error", "//x/admin": "403 rule_error", "/admin./x": "401 auth_missing", "/;/admin": "403 rule_error", "/;x=y/admin/users": "403 rule_error", "/%2Fadmin": "403 rule_error",
			"//other": "200 ", "/other;x=y": "200 ", "/a%2Fadmin": "200 ",
		}},
		"exemption": {`rules: {when: ["!(request.path in ['/healthz', '/'])"], authentication: {keys: {` + apiKeys + `}}}`, map[string]string{
			"/healthz": "200 ", "/": "200 ", "/healthz;x": "403 rule_error", "//": "403 rule_error", "//healthz": "403 rule_error", "//other": "401 auth_missing",
		}},
		"method": {`rules: {authentication: {keys: {` + apiKeys + `}, everybody: {when: ["!request.path.startsWith('/admin')"], anonymous: {}}}}`, map[string]string{
			"/admin": "401 auth_missing", "//admin": "403 rule_error", "//other": "200 ",
		}},
		"cel": {one + `authorization: {r: {cel: "!request.path.startsWith('/admin')"}}}`, map[string]string{
			"/admin": "403 forbidden_by_rule", "//admin": "403 rule_error", "/;x/admin": "403 rule_error", "//other;x": "200 ",
		}},
		"rego": {one + `authorization: {r: {opa: {policy: "package shop\n\nallow if not startswith(input.request.path, \"/admin\")"}}}}`, map[string]string{
			"/admin": "403 forbidden_by_rego", "//admin": "403 forbidden_by_rego", "//x/admin": "403 forbidden_by_rego", "//x/orders": "200 ", "/;x/admin": "403 forbidden_by_rego", "//other;x": "200 ",
		}},
	} {
		w := Start(t, Base+key("good", "k-good", "")+Route("r", toAPI)+Auth("a", guarded, c.policy))
		for path, want := range c.want {
			a := w.Do("GET http://a" + path)
			if got := fmt.Sprintf("%d %s", a.Status, a.Problem().Code); got != want {
				t.Errorf("%s %s: %s (%s), want %s", name, path, got, a.Body, want)
			}
		}
	}
	w := Start(t, Base+Route("r", toAPI)+Validation("v", guarded, `rules: {when: ["request.path.startsWith('/admin')"], checks: {page: {query: [{name: page, required: true}]}}}`))
	for path, want := range map[string]string{"/admin": "400 parameter_invalid", "//admin": "403 rule_error", "//other": "200 "} {
		a := w.Do("GET http://a" + path)
		if got := fmt.Sprintf("%d %s", a.Status, a.Problem().Code); got != want {
			t.Errorf("validation %s: %s (%s), want %s", path, got, a.Body, want)
		}
	}
}
