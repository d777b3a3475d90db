package table

import (
	"fmt"
	"net/url"
	"strings"
)

// String prints where the credential comes from and where it goes, and nothing
// secret: "static(Secret shop/api token) in header authorization Bearer".
func (c *BackendCredential) String() string {
	out := "nothing"
	switch {
	case c.Unavailable != "":
		out = "unavailable(" + c.Unavailable + ")"
	case c.Static != nil:
		out = "static(Secret " + c.Static.ID + ")"
	case c.Minted != nil:
		out = c.Minted.String()
	case c.Grant != nil:
		out = c.Grant.String()
	}
	return out + " in " + CredentialSource{Header: c.Into.Name, Scheme: c.Into.Scheme}.String()
}

// String prints "jwt(issuer https://gateway.example aud=orders ttl 5m0s role=cel(auth.claims.role))".
func (m *MintedToken) String() string {
	out := fmt.Sprintf("jwt(issuer %s aud=%s ttl %v", m.Issuer, strings.Join(m.Audiences, ","), m.TTL)
	if m.Subject != "" {
		out += " sub=cel(" + m.Subject + ")"
	}
	for _, c := range m.Claims {
		out += " " + c.Name + "=cel(" + c.CEL + ")"
	}
	return out + ")"
}

// String prints "clientCredentials(https://issuer.example/token client shop scopes=a,b timeout 5s)".
func (g *TokenGrant) String() string {
	out := "clientCredentials("
	if g.Exchange != nil {
		out = "tokenExchange("
	}
	out += g.URL + " client " + g.ClientID
	if g.Post {
		out += " in the form"
	}
	for _, p := range []struct {
		what string
		list []string
	}{{"scopes", g.Scopes}, {"aud", g.Audiences}, {"resources", g.Resources}} {
		if len(p.list) > 0 {
			out += " " + p.what + "=" + strings.Join(p.list, ",")
		}
	}
	if e := g.Exchange; e != nil {
		out += " for " + strings.TrimPrefix(e.Subject, tokenType)
		if e.Requested != "" {
			out += " wants " + strings.TrimPrefix(e.Requested, tokenType)
		}
	}
	return out + fmt.Sprintf(" timeout %v)", g.Timeout)
}

// tokenType begins the names of the kinds of tokens (RFC 8693, section 3).
const tokenType = "urn:ietf:params:oauth:token-type:"

// Service names the token endpoint's host, for metrics.
func (g *TokenGrant) Service() string { return hostOf(g.URL) }

// hostOf is the host of a URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "malformed"
	}
	return u.Host
}
