package graph

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// resolveAsides resolves the backends that filters in a list send to beside the
// request's own, in their order: those of RequestMirror and ExternalAuth. A mirror
// that cannot be resolved gets nothing, and the requests themselves go on
// (HTTPRequestMirrorFilter.BackendRef); without its authorization service a rule
// serves nobody.
func resolveAsides(r *store.Reader, route *gatewayv1.HTTPRoute, filters []gatewayv1.HTTPRouteFilter, field string) (out []*Backend, bad []*spec.Problem) {
	for i := range filters {
		f, at := &filters[i], fmt.Sprintf("%s[%d]", field, i)
		var ref gatewayv1.HTTPBackendRef
		switch {
		case f.Type == gatewayv1.HTTPRouteFilterRequestMirror && f.RequestMirror != nil:
			ref.BackendObjectReference = f.RequestMirror.BackendRef
			at += ".requestMirror.backendRef"
		case f.Type == gatewayv1.HTTPRouteFilterExternalAuth && f.ExternalAuth != nil:
			ref.BackendObjectReference = f.ExternalAuth.BackendRef
			at += ".externalAuth.backendRef"
		default:
			continue
		}
		backend, p := resolveBackend(r, route, &ref, at)
		if p != nil {
			bad = append(bad, p)
		}
		out = append(out, backend)
	}
	return out, bad
}
