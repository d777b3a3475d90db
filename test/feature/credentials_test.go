package feature

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// tokenEndpoint gives out tokens by client credentials and by exchange, as an
// authorization server does.
type tokenEndpoint struct {
	*httptest.Server
	down  atomic.Bool
	calls atomic.Int32
}

func newTokenEndpoint(t testing.TB, secret string) *tokenEndpoint {
	e := &tokenEndpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		e.calls.Add(1)
		rw.Header().Set("Content-Type", "application/json")
		id, password, _ := r.BasicAuth()
		token := ""
		switch kind := r.PostFormValue("grant_type"); {
		case e.down.Load():
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		case id != "shop" || password != secret:
			rw.WriteHeader(http.StatusUnauthorized)
			token = `{"error":"invalid_client"}`
		case kind == "client_credentials" && r.PostFormValue("scope") == "orders":
			token = `{"access_token":"gateway","token_type":"Bearer","expires_in":300}`
		case kind == "urn:ietf:params:oauth:grant-type:token-exchange" && r.PostFormValue("audience") == "orders":
			if strings.Count(r.PostFormValue("subject_token"), ".") != 2 {
				rw.WriteHeader(http.StatusBadRequest)
				token = `{"error":"invalid_request"}`
				break
			}
			token = `{"access_token":"exchanged","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":300}`
		default:
			rw.WriteHeader(http.StatusBadRequest)
			token = `{"error":"invalid_target"}`
		}
		_, _ = rw.Write([]byte(token))
	}))
	t.Cleanup(e.Close)
	return e
}

func backendSecret(values string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: backend, namespace: shop}\nstringData: {" + values + "}\n---\n"
}

// The backend sees the gateway's credentials, and nothing the caller sent in their place.
func TestBackendCredentials(t *testing.T) {
	t.Parallel()
	const secret, planted = "client-secret-4711", "planted-static-4711"
	issuer, endpoint := NewIssuer(t), newTokenEndpoint(t, secret)
	at := `tokenURL: "` + endpoint.URL + `", clientID: shop, clientSecretRef: {name: backend}`
	w := Start(t, Base+backendSecret("token: "+planted+", client-secret: "+secret)+Route("r",
		`{name: static, matches: [{path: {value: /static}}], `+toAPI[1:],
		`{name: own, matches: [{path: {value: /own}}], `+toAPI[1:],
		`{name: theirs, matches: [{path: {value: /theirs}}], `+toAPI[1:],
		`{name: refused, matches: [{path: {value: /refused}}], `+toAPI[1:],
		`{name: open, matches: [{path: {value: /open}}], `+toAPI[1:])+
		Auth("static", "HTTPRoute/r/static", `rules: {response: {credentials: {it: {header: X-Key, static: {secretRef: {name: backend, key: token}}}}}}`)+
		Auth("own", "HTTPRoute/r/own", `rules: {response: {credentials: {it: {clientCredentials: {`+at+`, scopes: [orders]}}}}}`)+
		Auth("theirs", "HTTPRoute/r/theirs", `rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {inline: `+issuer.KeySet()+`}}}, anyone: {anonymous: {}}}, response: {credentials: {it: {tokenExchange: {`+at+`, audiences: [orders]}}}}}`)+
		Auth("refused", "HTTPRoute/r/refused", `rules: {response: {credentials: {it: {clientCredentials: {`+at+`}}}}}`))

	if a := w.Do("GET http://a.example/static", "X-Key: forged", "X_Key: forged"); a.Status != 200 || strings.Join(a.Seen().Header["X-Key"], ",") != planted || a.Seen().Header["X_key"] != nil {
		t.Errorf("static: %d %s", a.Status, a.Body)
	}
	for range 3 {
		if a := w.Do("GET http://a.example/own", "Authorization: Bearer forged"); a.Status != 200 || strings.Join(a.Seen().Header["Authorization"], ",") != "Bearer gateway" {
			t.Errorf("client credentials: %d %s", a.Status, a.Body)
		}
		if a := w.Do("GET http://a.example/theirs", "Authorization: Bearer "+issuer.Token()); a.Status != 200 || strings.Join(a.Seen().Header["Authorization"], ",") != "Bearer exchanged" {
			t.Errorf("token exchange: %d %s", a.Status, a.Body)
		}
	}
	if n := endpoint.calls.Load(); n < 2 || n > 4 { // the issuer's tokens differ, for ECDSA signatures do
		t.Errorf("%d calls", n)
	}
	if a := w.Do("GET http://a.example/theirs"); a.Status != 403 || a.Code() != "token_exchange_no_token" {
		t.Errorf("without a token: %d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/refused"); a.Status != 503 || a.Code() != "backend_credential_refused" || a.Header.Get("Retry-After") == "" {
		t.Errorf("a refused client: %d %s", a.Status, a.Body)
	}
	host := strings.TrimPrefix(endpoint.URL, "http://")
	for outcome, want := range map[string]bool{"issued": true, "refused": true, "failed": false} {
		if n := w.Metric(`gatehouse_backend_token_requests_total{outcome="` + outcome + `",service="` + host + `"}`); (n != "" && n != "0") != want {
			t.Errorf("metric of %s %q", outcome, n)
		}
	}

	// The endpoint goes down: what is kept serves, what is not has 503, others do not notice.
	endpoint.down.Store(true)
	if a := w.Do("GET http://a.example/own"); a.Status != 200 {
		t.Errorf("a kept token: %d", a.Status)
	}
	if a := w.Do("GET http://a.example/theirs", "Authorization: Bearer "+issuer.Token(`"sub":"eve"`)); a.Status != 503 || a.Code() != "backend_credential_unavailable" {
		t.Errorf("down: %d %s", a.Status, a.Body)
	}
	if a := w.Do("GET http://a.example/open"); a.Status != 200 {
		t.Errorf("another rule: %d", a.Status)
	}
	endpoint.down.Store(false)

	// A rotated Secret is followed, one that goes closes.
	w.Apply(backendSecret("token: rotated, client-secret: " + secret))
	if a := w.Do("GET http://a.example/static"); strings.Join(a.Seen().Header["X-Key"], ",") != "rotated" {
		t.Errorf("rotated: %s", a.Body)
	}
	w.Delete(backendSecret("a: b"))
	if a := w.Do("GET http://a.example/static"); a.Status != 503 || a.Code() != "auth_unavailable" {
		t.Errorf("without its Secret: %d %s", a.Status, a.Body)
	}
	for _, page := range []string{"/debug/table", "/debug/table?format=json", "/debug/decisions", "/metrics"} {
		if text := w.Admin(page); strings.Contains(text, secret) || strings.Contains(text, planted) || strings.Contains(text, "rotated") {
			t.Errorf("%s shows a secret", page)
		}
	}
}
