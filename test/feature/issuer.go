package feature

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer signs tokens and serves its keys, as an identity provider does.
type Issuer struct {
	t      testing.TB
	server *httptest.Server

	mu      sync.Mutex
	keys    map[string]*ecdsa.PrivateKey // by kid
	down    bool                         // it answers 500
	fetched int
}

// NewIssuer starts one, with a key "k".
func NewIssuer(t testing.TB) *Issuer {
	i := &Issuer{t: t, keys: map[string]*ecdsa.PrivateKey{"k": newKey(t)}}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	return i
}

// URL is the issuer's name and where it is found.
func (i *Issuer) URL() string { return i.server.URL }

// KeySetURL is where its keys are.
func (i *Issuer) KeySetURL() string { return i.server.URL + "/keys" }

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	down := i.down
	if r.URL.Path == "/keys" {
		i.fetched++
	}
	i.mu.Unlock()
	switch {
	case down:
		http.Error(rw, "down", http.StatusInternalServerError)
	case r.URL.Path == "/keys":
		_, _ = rw.Write([]byte(i.KeySet()))
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": i.URL(), "jwks_uri": i.KeySetURL()})
	default:
		http.NotFound(rw, r)
	}
}

// Down makes it answer 500, or no longer.
func (i *Issuer) Down(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Fetched is how often its keys were asked for.
func (i *Issuer) Fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

// AddKey gives it another key.
func (i *Issuer) AddKey(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = newKey(i.t)
}

// KeySet is its public keys.
func (i *Issuer) KeySet() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jose.JSONWebKeySet
	for kid, key := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		i.t.Error(err)
	}
	return string(b)
}

// Token signs claims, given as JSON members: iss, aud "shop", sub "ann" and exp
// in an hour go without saying.
func (i *Issuer) Token(claims ...string) string { return i.Signed("k", claims...) }

// Signed is Token with another key. One it does not have is made up.
func (i *Issuer) Signed(kid string, claims ...string) string {
	i.t.Helper()
	all := map[string]any{"iss": i.URL(), "aud": "shop", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	if err := json.Unmarshal([]byte("{"+strings.Join(claims, ",")+"}"), &all); err != nil {
		i.t.Fatal(err)
	}
	payload, err := json.Marshal(all)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	if key == nil {
		key = newKey(i.t)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}
