package oidc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// The provider gives the gateway a token of its own, and one for the caller's. It
// lets nobody but its administrators be impersonated, and calls that its own error.
func TestBackendTokens(t *testing.T) {
	p := NewProvider(t, callback)
	grant := fmt.Sprintf(`tokenURL: "%s/oauth/token", clientSecretRef: {name: %%s}, clientID: %%s`, p.URL())
	credentials := `response: {credentials: {` +
		`own: {header: X-Own, clientCredentials: {` + fmt.Sprintf(grant, "machine", "sid1") + `, scopes: [openid]}}, ` +
		`theirs: {tokenExchange: {` + fmt.Sprintf(grant, "client", clientID) + `, requestedTokenType: "urn:ietf:params:oauth:token-type:access_token"}}}, headers`
	w := feature.Start(t, feature.Base+secret("client", "client-secret", clientSecret)+secret("machine", "client-secret", "verysecret")+
		route("shop", "shop.example", "/app")+strings.Replace(policy(p, ""), "response: {headers", credentials, 1))
	b := NewBrowser(t, w)
	page := b.LogInAs(ready(t, b), admin)
	header := page.Seen().Header
	if page.Status != 200 || page.User() != "id1" || len(header["X-Own"]) != 1 || len(header["Authorization"]) != 1 {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	own, theirs := header["X-Own"][0], header["Authorization"][0]
	if !p.Gave(own) || !p.Gave(strings.TrimPrefix(theirs, "Bearer ")) || own == strings.TrimPrefix(theirs, "Bearer ") {
		t.Errorf("tokens that the provider did not give: %.20s, %.20s", own, theirs)
	}
	calls := p.Calls("/oauth/token")
	again := b.Get(app)
	if again.Status != 200 || p.Calls("/oauth/token") != calls || again.Seen().Header["Authorization"][0] != theirs {
		t.Errorf("%d %s after %d calls", again.Status, again.Body, p.Calls("/oauth/token")-calls)
	}
	other := NewBrowser(t, w)
	if page := other.LogIn(ready(t, other)); page.Status != 503 || page.Code() != "backend_credential_unavailable" || page.Header.Get("Retry-After") == "" {
		t.Errorf("who may not be impersonated: %d %v %s", page.Status, page.Header, page.Body)
	}
}
