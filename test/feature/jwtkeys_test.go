package feature

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// sharedToken signs a token with a secret; kid may be empty.
func sharedToken(t *testing.T, alg jose.SignatureAlgorithm, secret, kid string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: []byte(secret)}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(fmt.Appendf(nil, `{"iss":"tools","aud":"shop","sub":"ann","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return "authorization: Bearer " + text
}

// Secrets that are shared with the issuer come from a Secret, count for the
// listed algorithms alone, and are shown nowhere.
func TestJWTSharedSecret(t *testing.T) {
	t.Parallel()
	const first, second = "planted-first-4711-4711-4711-4711-4711", "planted-second-4711-4711-4711-4711-4711-4711-4711-4711-4711-4711-4711"
	secret := func(data string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: shared, namespace: shop}\nstringData: {" + data + "}\n---\n"
	}
	w := Start(t, Base+Route("r", toAPI)+secret("a: "+first+", b: "+second)+Auth("a", guarded,
		`rules: {authentication: {tools: {jwt: {issuer: tools, audiences: [shop], algorithms: [HS256, HS512], secretRef: {name: shared}}}}, `+subject+`}`))
	is := decides(t, w)
	for range 2 { // the second time from memory
		is("tools ann", "GET http://a/", sharedToken(t, jose.HS256, first, "a"))
		is("tools ann", "GET http://a/", sharedToken(t, jose.HS256, second, ""))
		is("tools ann", "GET http://a/", sharedToken(t, jose.HS512, second, "b"))
	}
	is("401 jwt_algorithm_refused", "GET http://a/", sharedToken(t, jose.HS384, second, "b"))
	is("401 jwt_algorithm_refused", "GET http://a/", sharedToken(t, jose.HS512, first+first, "a")) // its secret is too short for that
	is("401 jwt_signature_invalid", "GET http://a/", sharedToken(t, jose.HS256, first, "b"))
	is("401 jwt_key_unknown", "GET http://a/", sharedToken(t, jose.HS256, first, "c"))
	// A secret that is taken out counts no more, whatever was remembered.
	w.Apply(secret("b: " + second))
	is("401 jwt_key_unknown", "GET http://a/", sharedToken(t, jose.HS256, first, "a"))
	is("tools ann", "GET http://a/", sharedToken(t, jose.HS256, second, "b"))
	for _, page := range []string{"/debug/table", "/metrics"} {
		if text := w.Admin(page); strings.Contains(text, "planted") {
			t.Errorf("%s shows a secret", page)
		}
	}
}

// A key set may be a Service's, which the gateway reaches as it does backends.
func TestJWTKeysFromService(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Service("issuer")+Route("r", toAPI)+HostRoute("open", "open.example", toAPI)+Auth("a", guarded,
		`rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {backendRef: {name: issuer, port: 80, path: /keys}}}}}, `+subject+`}`))
	w.Backend("shop/issuer").Answer(func(rw http.ResponseWriter, r *http.Request) {
		if r.Host != "issuer.shop:80" {
			t.Errorf("asked for %s", r.Host)
		}
		issuer.ServeHTTP(rw, r)
	})
	token := "authorization: Bearer " + issuer.Token()
	w.Until("the key set is fetched", func() bool { return w.Do("GET http://a/", token).Status == 200 })
	is := decides(t, w)
	is("staff ann", "GET http://a/", token)
	is("", "GET http://open.example/")
	is("401 jwt_signature_invalid", "GET http://a/", "authorization: Bearer "+NewIssuer(t).Signed("k", `"iss":"`+issuer.URL()+`"`))
}
