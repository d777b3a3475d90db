package attach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// credentials checks what the gateway is to say of itself to backends, and finds
// the Secrets of that.
func (d *draft) credentials(field string, r *v1alpha1.AuthResponse) {
	taken := map[string]string{}
	for name := range r.Headers {
		taken[strings.ToLower(name)] = "response.headers"
	}
	for _, name := range sortedKeys(r.Credentials) {
		c, at, item := r.Credentials[name], field+"."+name, d.item(ItemCredential, name)
		d.conditions(at+".when", c.When)
		header := strings.ToLower(cmp.Or(string(c.Header), "Authorization"))
		if other := taken[header]; other != "" {
			d.bad(at+".header", "%s sets the header %s too; choose another name", other, header)
		}
		taken[header] = "credential " + name
		d.credential(item, at, &c)
	}
}

func (d *draft) credential(item, field string, c *v1alpha1.BackendCredential) {
	set := 0
	if s := c.Static; s != nil {
		set++
		d.resolved[item] = d.secretValue(s.SecretRef.SecretReference, s.SecretRef.Key)
	}
	if j := c.JWT; j != nil {
		set++
		d.backendJWT(field+".jwt", j)
	}
	if g := c.ClientCredentials; g != nil {
		set++
		d.tokenEndpoint(item, field+".clientCredentials", &g.TokenEndpoint)
	}
	if g := c.TokenExchange; g != nil {
		set++
		d.tokenEndpoint(item, field+".tokenExchange", &g.TokenEndpoint)
	}
	if set != 1 {
		d.bad(field, "%d credentials are set; set exactly one of static, jwt, clientCredentials and tokenExchange", set)
	}
}

func (d *draft) backendJWT(field string, j *v1alpha1.BackendJWT) {
	if j.Issuer == "" || len(j.Audiences) == 0 {
		d.bad(field, "set issuer and audiences, by which the backend knows that the token is meant for it")
	}
	d.duration(field+".ttl", j.TTL, time.Hour)
	if j.Subject != nil {
		d.expression(field+".subject", d.checks.Value, *j.Subject)
	}
	for _, name := range sortedKeys(j.Claims) {
		if slices.Contains([]string{"iss", "aud", "sub", "exp", "iat", "nbf"}, name) {
			d.bad(field+".claims."+name, "the gateway itself sets this claim; choose another name")
		}
		d.expression(field+".claims."+name, d.checks.Claim, j.Claims[name])
	}
}

func (d *draft) tokenEndpoint(item, field string, e *v1alpha1.TokenEndpoint) {
	d.url(field+".tokenURL", e.TokenURL, "tokens come from there")
	d.duration(field+".timeout", e.Timeout, time.Minute)
	if e.ClientID == "" {
		d.bad(field+".clientID", "it is empty; write the name by which the token endpoint knows this gateway")
	}
	d.resolved[item] = d.secretValue(e.ClientSecretRef, v1alpha1.ClientSecretKey)
}

// secretValue finds a Secret with a value that can stand in a header.
func (d *draft) secretValue(ref v1alpha1.SecretReference, key string) Parts {
	s, parts := d.find(ref)
	full := d.finder().Name(ref)
	switch {
	case s == nil:
		return parts
	case len(trimmed(s, key)) == 0:
		return Parts{Broken: fmt.Sprintf("Secret %s has no key %s, or nothing under it", full, key)}
	case slices.ContainsFunc(trimmed(s, key), func(c byte) bool { return c < ' ' || c > '~' }):
		return Parts{Broken: fmt.Sprintf("Secret %s key %s: it has characters that cannot stand in a header", full, key)}
	}
	return parts
}

// Value is what the Secret of a backend credential's parts holds under key.
func (p *Parts) Value(key string) (id string, value []byte) {
	s := p.Secrets[0]
	return s.Namespace + "/" + s.Name + " " + key, trimmed(s, key)
}
