package feature

import (
	"crypto/ecdsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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
	fault   http.HandlerFunc             // nil: it works
	mended  chan struct{}                // closed when the fault is over
	fetched int
	asked   int
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
	fault := i.fault
	i.asked++
	if r.URL.Path == "/keys" {
		i.fetched++
	}
	i.mu.Unlock()
	switch {
	case fault != nil:
		fault(rw, r)
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
	if !down {
		i.Fault(nil)
		return
	}
	i.Fault(func(rw http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		http.Error(rw, "down", http.StatusInternalServerError)
	})
}

// Fault makes f answer whatever it is asked; nil: it works again. f is told when
// that is so.
func (i *Issuer) Fault(f func(rw http.ResponseWriter, r *http.Request, mended <-chan struct{})) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.mended != nil {
		close(i.mended)
	}
	i.fault, i.mended = nil, nil
	if f != nil {
		mended := make(chan struct{})
		i.mended, i.fault = mended, func(rw http.ResponseWriter, r *http.Request) { f(rw, r, mended) }
	}
}

// Fetched is how often its keys were asked for.
func (i *Issuer) Fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

// Asked is how often it was asked for anything.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// AddKey gives it another key.
func (i *Issuer) AddKey(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = newKey(i.t)
}

// RemoveKey takes a key from it.
func (i *Issuer) RemoveKey(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.keys, kid)
}

// KeySet is its public keys.
func (i *Issuer) KeySet() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, kid := range slices.Sorted(maps.Keys(i.keys)) {
		key := i.keys[kid]
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
