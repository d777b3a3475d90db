package feature

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The backend verifies a token of the gateway's own by the keys of the admin address.
func TestMintedToken(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", `{matches: [{path: {value: /}}], `+toAPI[1:])+
		Auth("p", "HTTPRoute/r", `rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {inline: `+issuer.KeySet()+`}}}}, response: {credentials: {who: {jwt: {issuer: "https://gateway.example", audiences: [orders], claims: {roles: auth.claims.roles}}}}}}`))
	ask := func() (token string) {
		t.Helper()
		a := w.Do("GET http://a.example/", "Authorization: Bearer "+issuer.Token(`"sub":"ann\r\nx: y"`, `"roles":["a","b"]`))
		if a.Status != 200 || len(a.Seen().Header["Authorization"]) != 1 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return strings.TrimPrefix(a.Seen().Header["Authorization"][0], "Bearer ")
	}
	verify := func(token string) (claims struct {
		Issuer   string   `json:"iss"`
		Audience []string `json:"aud"`
		Subject  string   `json:"sub"`
		Roles    []string `json:"roles"`
	},
	) {
		t.Helper()
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(w.Admin("/jwks")), &set); err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := signed.Verify(set)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		return claims
	}
	before := ask()
	c := verify(before)
	if c.Issuer != "https://gateway.example" || strings.Join(c.Audience, ",") != "orders" || c.Subject != "ann\r\nx: y" || strings.Join(c.Roles, ",") != "a,b" {
		t.Errorf("%+v", c)
	}
	// The keys change: new ones sign, the one before still verifies.
	if err := w.Server.SetSigningKeys(strings.Repeat("a", 32)); err != nil {
		t.Fatal(err)
	}
	between := ask()
	if err := w.Server.SetSigningKeys(strings.Repeat("b", 32), strings.Repeat("a", 32)); err != nil {
		t.Fatal(err)
	}
	verify(between)
	if after := ask(); after == between || after == before {
		t.Error("the new key does not sign")
	} else {
		verify(after)
	}
}
