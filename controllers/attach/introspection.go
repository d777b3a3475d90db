package attach

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// introspection checks an introspection method, and finds its Secret and its
// Service.
func (d *draft) introspection(item, field string, i *v1alpha1.IntrospectionAuthentication) {
	d.audiences(field, i.AudienceCheck, i.Audiences)
	parts := d.secret(i.ClientSecretRef, v1alpha1.ClientIDKey, v1alpha1.ClientSecretKey)
	switch {
	case i.BackendRef != nil && i.URL != nil:
		d.bad(field, "set at most one of backendRef and url")
	case i.BackendRef != nil:
		found := d.service(i.BackendRef)
		found.Secrets = parts.Secrets
		if parts.Broken == "" {
			parts = found
		}
	case i.URL != nil:
		d.url(field+".url", *i.URL, "the server is asked there")
	default:
		d.url(field+".issuer", i.Issuer, "the endpoint is discovered from it; or set url or backendRef")
	}
	d.resolved[item] = parts
	d.duration(field+".timeout", i.Timeout, time.Minute)
	if c := i.Cache; c != nil {
		d.duration(field+".cache.ttl", c.TTL, time.Hour)
		if c.OnError != nil && *c.OnError != "0s" {
			d.duration(field+".cache.onError", c.OnError, time.Hour)
		}
	}
}
