package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokenLifetime is how long a token is good.
const tokenLifetime = 15 * time.Minute

// audience is what the quickstart's AuthPolicy demands.
const audience = "shop"

// newKey makes the key that signs tokens, and its id.
func newKey() (*ecdsa.PrivateKey, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("making the demo issuer's key: %w", err)
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // it cannot fail
	return key, "demo-" + base64.RawURLEncoding.EncodeToString(id), nil
}

// Token issues a JWT (RFC 7519) for subject, signed with ES256, of the issuer
// among the Services. claims are added, and win over those set here.
func (d *Demo) Token(subject string, claims map[string]any) (string, error) {
	address := d.issuerAddress()
	if address == "" {
		return "", fmt.Errorf("no Service is annotated %s: issuer", annotationBackend)
	}
	return d.token("http://"+address, subject, claims)
}

func (d *Demo) token(issuer, subject string, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: d.key, KeyID: d.keyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	now := time.Now()
	standard := jwt.Claims{
		Issuer:   issuer,
		Subject:  subject,
		Audience: jwt.Audience{audience},
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(tokenLifetime)),
	}
	return jwt.Signed(signer).Claims(standard).Claims(claims).Serialize()
}

// issuerAddress returns where the issuer listens; empty if there is none.
func (d *Demo) issuerAddress() (address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.services {
		if s.want.kind == "issuer" && (address == "" || s.want.address < address) {
			address = s.want.address
		}
	}
	return address
}

// issuer publishes its metadata (OpenID Connect Discovery) and its key, and
// issues a token to whoever asks: /token?sub=ada&scope=account.write.
func (d *Demo) issuer(address string) podHandler {
	self := "http://" + address
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.key.Public(), KeyID: d.keyID, Algorithm: string(jose.ES256), Use: "sig"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, "application/jwk-set+json", keys) })
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, "application/json", map[string]any{
			"issuer": self, "jwks_uri": self + "/jwks.json", "id_token_signing_alg_values_supported": []string{string(jose.ES256)},
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		subject := r.FormValue("sub")
		if subject == "" {
			subject = "ada"
		}
		token, err := d.token(self, subject, map[string]any{"scope": r.FormValue("scope")})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintln(w, token) // the client has gone
	})
	return func(_ string, w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }
}
