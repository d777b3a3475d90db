package access

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// tokenTimeout is how long a token endpoint may take where nothing says otherwise.
const tokenTimeout = 5 * time.Second

// mintedLife is how long a token for a backend is good where nothing says otherwise.
const mintedLife = 5 * time.Minute

// accessToken is the type of callers' tokens where nothing says otherwise (RFC 8693, section 3).
const accessToken = "urn:ietf:params:oauth:token-type:access_token"

// credential compiles a credential for the backend.
func (c *authCompiler) credential(name string, spec *v1alpha1.BackendCredential) error {
	out := table.BackendCredential{Name: name, Source: c.at, When: expressions(spec.When), Into: *forwardedToken(&spec.ForwardedToken)}
	for _, other := range c.auth.Credentials {
		if other.Into.Name == out.Into.Name {
			return fmt.Errorf("credential %s sets the header %s too; choose another name", other.Name, out.Into.Name)
		}
	}
	parts := c.from.Resolved[c.name]
	var err error
	switch {
	case parts.Broken != "":
		out.Unavailable = parts.Broken
		c.out.rejected = append(c.out.rejected,
			table.Rejection{Object: Name(c.from.Key), Reason: c.name + ": " + parts.Broken, Status: 503})
	case spec.JWT != nil:
		out.Minted, err = mintedToken(spec.JWT)
	case len(parts.Secrets) != 1:
		return fmt.Errorf("%d Secrets", len(parts.Secrets))
	case spec.Static != nil:
		id, value := parts.Value(spec.Static.SecretRef.Key)
		out.Static = &table.StaticCredential{ID: id, Value: value}
	case spec.ClientCredentials != nil:
		out.Grant, err = tokenGrant(&spec.ClientCredentials.TokenEndpoint, parts)
	case spec.TokenExchange != nil:
		out.Grant, err = tokenGrant(&spec.TokenExchange.TokenEndpoint, parts)
		if err == nil {
			out.Grant.Exchange = &table.Exchange{Subject: spec.TokenExchange.SubjectTokenType, Requested: deref(spec.TokenExchange.RequestedTokenType)}
			if out.Grant.Exchange.Subject == "" {
				out.Grant.Exchange.Subject = accessToken
			}
		}
	}
	c.auth.Credentials = append(c.auth.Credentials, out)
	return err
}

func mintedToken(j *v1alpha1.BackendJWT) (out *table.MintedToken, err error) {
	out = &table.MintedToken{Issuer: j.Issuer, Audiences: j.Audiences, TTL: mintedLife, Subject: expression(j.Subject)}
	if j.TTL != nil {
		out.TTL, err = time.ParseDuration(string(*j.TTL))
	}
	for _, name := range slices.Sorted(maps.Keys(j.Claims)) {
		out.Claims = append(out.Claims, table.ClaimExpr{Name: name, CEL: string(j.Claims[name])})
	}
	return out, err
}

func tokenGrant(e *v1alpha1.TokenEndpoint, parts attach.Parts) (out *table.TokenGrant, err error) {
	out = &table.TokenGrant{
		URL: e.TokenURL, ClientID: e.ClientID, Post: e.ClientAuthentication == v1alpha1.ClientAuthenticationPost,
		Scopes: e.Scopes, Audiences: e.Audiences, Resources: e.Resources, Timeout: tokenTimeout,
	}
	_, out.ClientSecret = parts.Value(v1alpha1.ClientSecretKey)
	if e.Timeout != nil {
		out.Timeout, err = time.ParseDuration(string(*e.Timeout))
	}
	return out, err
}

// exchanged tells the logins whether their sessions have to keep callers' tokens.
func (c *authCompiler) exchanged() {
	needed := false
	for i := range c.auth.Credentials {
		needed = needed || c.auth.Credentials[i].Grant != nil && c.auth.Credentials[i].Grant.Exchange != nil
	}
	for i := range c.auth.Metadata {
		needed = needed || c.auth.Metadata[i].UserInfo != nil
	}
	for i := range c.auth.Methods {
		if o := c.auth.Methods[i].OIDC; o != nil && needed {
			o.Exchanged = true
		}
	}
}
