package feature

import (
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
		told("x-via=gatehouse", "X-User: root", "x-user: root", "X_User: root", "x_uSER: root", "X-Via: me")
		told("x-via=gatehouse & x-user=good-owner", "X-User: root", "X-Api-Key: k-good")
		if proto == "http/1.1" { // HTTP/2 has no Connection
			told("x-via=gatehouse & x-user=good-owner", "Connection: x-user, x-via", "X-Api-Key: k-good")
		}
	}
}
