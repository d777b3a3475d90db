//go:build envtest

package envtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/keptkeys"
	"github.com/gatehouse-dev/gatehouse/controllers/sharedkey"
)

// answer is what is answered to a request with a token; status 0 when nothing is.
func answer(t *testing.T, url, token string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := fresh.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// TestKeptKeys restarts Gatehouse while the identity provider is gone: the ConfigMap has its keys, and nobody is refused.
func TestKeptKeys(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var document any = map[string]string{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys"}
		if r.URL.Path == "/keys" {
			document = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &private.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
		}
		_ = json.NewEncoder(rw).Encode(document)
	}))
	defer issuer.Close()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(fmt.Appendf(nil, `{"iss":%q,"aud":"shop","sub":"ann","exp":%d}`, issuer.URL, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld(t, base, routeTo("r", "/a"), strings.ReplaceAll(`
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: staff, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  rules: {authentication: {staff: {jwt: {issuer: "ISSUER", audiences: [shop]}}}}
`, "ISSUER", issuer.URL))
	taken := func() string {
		if status, text := answer(t, w.URL("/a"), token); status != http.StatusOK {
			return fmt.Sprintf("answered %d %s", status, text)
		}
		return ""
	}
	kept := func(g *Gatehouse, want string) func() string {
		return func() string {
			_, _, metrics := ask(fresh, "http://"+g.admin+"/metrics")
			if line := fmt.Sprintf("gatehouse_key_set_kept{key_set=%q} %s\n", "discovery "+issuer.URL, want); !strings.Contains(metrics, line) {
				return "no metric " + line
			}
			return ""
		}
	}
	first := w.Run().WaitReady()
	eventually(t, 20*time.Second, taken)
	eventually(t, 10*time.Second, kept(first, "0"))
	eventually(t, 60*time.Second, func() string {
		c := &corev1.ConfigMap{}
		err := w.Client.Get(context.Background(), client.ObjectKey{Namespace: "gatehouse-system", Name: keptkeys.Name}, c)
		for _, text := range c.Data {
			if strings.Contains(text, issuer.URL) {
				return ""
			}
		}
		return fmt.Sprintf("the keys are not kept: %v, %d sets", err, len(c.Data))
	})
	first.Stop()
	issuer.Close()
	second := w.Run().WaitReady()
	for range 20 {
		if fault := taken(); fault != "" {
			t.Error("after the restart: ", fault)
		}
	}
	eventually(t, 10*time.Second, kept(second, "1"))
	if status, _ := answer(t, w.URL("/a"), ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
}

// TestSigningKeys runs two replicas: tokens for backends that one signs are verified by what the other publishes, before a change
// of the keys and after it.
func TestSigningKeys(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"), `
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: who, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  rules:
    authentication: {anyone: {anonymous: {}}}
    response: {credentials: {who: {header: X-Route, jwt: {issuer: "https://gateway.example", audiences: [orders], subject: "'gateway'"}}}}
`)
	replicas := map[string]*Gatehouse{}
	for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
		replicas[address] = w.Run("--leader-elect=true", "--identity", address, "--listen-address", address).WaitReady()
	}
	published := func(g *Gatehouse) (set jose.JSONWebKeySet) {
		_, _, text := ask(fresh, "http://"+g.admin+"/jwks")
		_ = json.Unmarshal([]byte(text), &set)
		return set
	}
	// agree waits until every replica signs with the key of the secret, and publishes the keys that the other signs with.
	agree := func(kid string) (signs string) {
		t.Helper()
		eventually(t, 30*time.Second, func() string {
			signs = ""
			for address := range replicas {
				status, _, text := ask(fresh, fmt.Sprintf("http://%s:%d/a", address, w.Port))
				token, err := jose.ParseSignedCompact(text[strings.LastIndexByte(text, ' ')+1:], []jose.SignatureAlgorithm{jose.ES256})
				if status != http.StatusOK || err != nil {
					return fmt.Sprintf("%s answers %d %s: %v", address, status, text, err)
				}
				used := token.Signatures[0].Header.KeyID
				if used == kid || signs != "" && used != signs {
					return fmt.Sprintf("%s signs with %s, another with %q, and both did with %q", address, used, signs, kid)
				}
				signs = used
				for other, g := range replicas {
					if _, err := token.Verify(published(g)); err != nil {
						return fmt.Sprintf("what %s signs is not verified by the keys of %s: %v", address, other, err)
					}
				}
			}
			return ""
		})
		return signs
	}
	before := agree("")
	secret := &corev1.Secret{}
	err := w.Client.Get(context.Background(), client.ObjectKey{Namespace: "gatehouse-system", Name: sharedkey.Signing}, secret)
	if err != nil {
		t.Fatal(err)
	}
	// As the leader does when they are due: what was next signs, what signed is published on.
	secret.Data[sharedkey.Previous], secret.Data[sharedkey.Current], secret.Data[sharedkey.Next] = secret.Data[sharedkey.Current], secret.Data[sharedkey.Next], []byte(rand.Text()+"123456")
	if err := w.Client.Update(context.Background(), secret); err != nil {
		t.Fatal(err)
	}
	agree(before)
	for address, g := range replicas {
		if keys := published(g); len(keys.Keys) != 3 || len(keys.Key(before)) != 1 {
			t.Errorf("%s publishes %d keys, %d of them the one before", address, len(keys.Keys), len(keys.Key(before)))
		}
	}
}
