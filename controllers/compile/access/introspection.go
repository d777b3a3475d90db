package access

import (
	"errors"
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What holds where a policy does not say.
const (
	introspectionPath    = "/introspect"
	introspectionTimeout = 2 * time.Second
	introspectionTTL     = time.Minute
	introspectionSpare   = 5 * time.Minute
)

// introspection compiles an introspection method and notes the backend it asks.
func (c *authCompiler) introspection(spec *v1alpha1.IntrospectionAuthentication, parts attach.Parts) (*table.Introspection, error) {
	if len(parts.Secrets) != 1 {
		return nil, errors.New("clientSecretRef: no Secret")
	}
	out := &table.Introspection{
		Issuer: spec.Issuer, URL: deref(spec.URL), ClientID: parts.ClientID(), ClientSecret: parts.ClientSecret(),
		Post: spec.ClientAuthentication == v1alpha1.ClientAuthenticationPost, Audiences: spec.Audiences, TokenTypes: spec.TokenTypes,
		Timeout: introspectionTimeout, TTL: introspectionTTL, Spare: introspectionSpare,
	}
	if parts.Service != nil && spec.BackendRef != nil {
		out.Backend = c.backend(parts, spec.BackendRef)
		if out.Path = string(deref(spec.Path)); out.Path == "" {
			out.Path = introspectionPath
		}
	}
	if err := duration(&out.Timeout, spec.Timeout); err != nil {
		return nil, err
	}
	if k := spec.Cache; k != nil {
		return out, errors.Join(duration(&out.TTL, k.TTL), duration(&out.Spare, k.OnError))
	}
	return out, nil
}
