package access

import (
	"maps"
	"slices"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// authTimeout is how long an authorization service may take where nothing says otherwise.
const authTimeout = time.Second

// ExternalFilter compiles an ExternalAuth filter that asks backend. Lists that are empty mean what
// the fields' own documentation says, which differs from one to the next.
func ExternalFilter(f *gatewayv1.HTTPExternalAuthFilter, backend string) *table.ExternalAuth {
	out := &table.ExternalAuth{Backend: backend, Timeout: authTimeout}
	if f.ForwardBody != nil {
		out.MaxBody = int64(f.ForwardBody.MaxSize)
	}
	if f.ExternalAuthProtocol == gatewayv1.HTTPRouteExternalAuthGRPCProtocol {
		out.GRPC, out.Headers = true, []string{"*"}
		if c := f.GRPCAuthConfig; c != nil && len(c.AllowedRequestHeaders) > 0 {
			out.Headers = lowered(c.AllowedRequestHeaders)
		}
		return out
	}
	out.ToBackend, out.ToClient = []string{"*"}, []string{"*"}
	if c := f.HTTPAuthConfig; c != nil {
		out.Path, out.Headers = c.Path, lowered(c.AllowedRequestHeaders)
		if len(c.AllowedResponseHeaders) > 0 {
			out.ToBackend = lowered(c.AllowedResponseHeaders)
		}
	}
	return out
}

// external compiles an externalAuth rule and notes the backend it asks.
func (c *authCompiler) external(r *table.AuthRule, spec *v1alpha1.ExternalAuth) error {
	parts := c.from.Resolved[c.name]
	if r.Unavailable = c.broken(parts); r.Unavailable != "" {
		return nil
	}
	out := &table.ExternalAuth{URL: deref(spec.URL), Timeout: authTimeout, Status: int(deref(spec.StatusOnError))}
	if parts.Service != nil && spec.BackendRef != nil {
		out.Backend = c.backend(parts, spec.BackendRef)
	}
	if err := duration(&out.Timeout, spec.Timeout); err != nil {
		return err
	}
	if b := spec.ForwardBody; b != nil {
		out.MaxBody, out.Partial = int64(b.MaxSize), b.AllowPartial
	}
	if k := spec.Cache; k != nil {
		out.Cache = &table.AuthCache{Key: expression(k.Key), Headers: lowered(k.Headers)}
		if k.Key != nil {
			out.Cache.Policy = Name(c.from.Key)
		}
		if err := duration(&out.Cache.TTL, &k.TTL); err != nil {
			return err
		}
	}
	asked(out, spec)
	r.External = out
	return nil
}

// broken says why the item at hand cannot be used now, if so, and notes it.
func (c *authCompiler) broken(parts attach.Parts) string {
	if parts.Broken != "" {
		c.out.rejected = append(c.out.rejected,
			table.Rejection{Object: Name(c.from.Key), Reason: c.name + ": " + parts.Broken, Status: 503})
	}
	return parts.Broken
}

// backend notes a port of the Service that parts have, which is asked, and returns its ID.
func (c *authCompiler) backend(parts attach.Parts, ref *v1alpha1.ServicePort) string {
	to := c.reach(parts, int32(ref.Port))
	c.out.backends = append(c.out.backends, to)
	return to.ID
}

// duration sets to where a policy says something.
func duration(to *time.Duration, from *gatewayv1.Duration) (err error) {
	if from != nil {
		*to, err = time.ParseDuration(string(*from))
	}
	return err
}

// asked fills in what differs between the protocols.
func asked(out *table.ExternalAuth, spec *v1alpha1.ExternalAuth) {
	if g := spec.GRPC; g != nil {
		out.GRPC, out.Headers = true, orAll(g.Headers)
		for _, name := range slices.Sorted(maps.Keys(g.Context)) {
			out.Context = append(out.Context, table.Header{Name: name, Value: g.Context[name]})
		}
	}
	if h := spec.HTTP; h != nil {
		out.Path, out.Headers, out.Forwarded = h.Path, lowered(h.Headers), h.Forwarded
		out.ToBackend, out.ToClient = lowered(h.ToBackend), orAll(h.ToClient)
	}
}

func orAll(names []gatewayv1.HTTPHeaderName) []string {
	if len(names) == 0 {
		return []string{"*"}
	}
	return lowered(names)
}

// lowered are names of fields in lower case, each once, in order.
func lowered[T ~string](names []T) (out []string) {
	for _, name := range names {
		out = append(out, strings.ToLower(string(name)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
