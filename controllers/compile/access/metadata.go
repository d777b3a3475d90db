package access

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What holds where a policy does not say.
const (
	metadataTimeout = time.Second
	metadataTTL     = time.Minute
	metadataSpare   = 5 * time.Minute
)

// metadata compiles a step and notes the backend it asks.
func (c *authCompiler) metadata(name string, spec *v1alpha1.MetadataStep) (err error) {
	out := table.MetadataStep{
		Name: name, Source: c.at, When: expressions(spec.When), Optional: spec.Optional,
		Timeout: metadataTimeout, TTL: metadataTTL, Spare: metadataSpare,
	}
	parts := c.from.Resolved[c.name]
	switch out.Unavailable = c.broken(parts); {
	case out.Unavailable != "":
	case spec.HTTP != nil:
		out.HTTP = c.question(spec.HTTP, parts)
	case spec.UserInfo != nil:
		out.UserInfo = &table.UserInfo{Issuer: deref(spec.UserInfo.Issuer), URL: deref(spec.UserInfo.URL)}
	}
	err = duration(&out.Timeout, spec.Timeout)
	if k := spec.Cache; k != nil {
		if out.HTTP != nil {
			out.HTTP.Key = expression(k.Key)
		}
		err = errors.Join(err, duration(&out.TTL, k.TTL), duration(&out.Spare, k.OnError))
	}
	c.auth.Metadata = append(c.auth.Metadata, out)
	return err
}

func (c *authCompiler) question(h *v1alpha1.MetadataHTTP, parts attach.Parts) *table.MetadataHTTP {
	out := &table.MetadataHTTP{URL: deref(h.URL), Post: h.Method == "POST", Path: expression(h.Path), Body: expression(h.Body)}
	if parts.Service != nil && h.BackendRef != nil {
		out.Backend = c.backend(parts, h.BackendRef)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Query)) {
		out.Query = append(out.Query, table.ClaimExpr{Name: name, CEL: string(h.Query[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		v := h.Headers[name]
		out.Headers = append(out.Headers, table.HeaderExpr{Name: strings.ToLower(name), CEL: expression(v.CEL), Value: deref(v.Value)})
	}
	if s := h.SecretHeader; s != nil {
		id, value := parts.Value(s.SecretRef.Key)
		out.Secret, out.Into = &table.StaticCredential{ID: id, Value: value}, *forwardedToken(&s.ForwardedToken)
	}
	return out
}
