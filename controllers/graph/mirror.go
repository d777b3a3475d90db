package graph

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// resolveMirrors resolves the backends of the RequestMirror filters in a list, in
// their order. One that cannot be resolved gets nothing; the requests themselves
// go on (HTTPRequestMirrorFilter.BackendRef).
func resolveMirrors(r *store.Reader, route *gatewayv1.HTTPRoute, filters []gatewayv1.HTTPRouteFilter, field string) (out []*Backend, bad []*spec.Problem) {
	for i := range filters {
		if filters[i].RequestMirror == nil {
			continue
		}
		ref := gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: filters[i].RequestMirror.BackendRef}}
		backend, p := resolveBackend(r, route, &ref, fmt.Sprintf("%s[%d].requestMirror.backendRef", field, i))
		if p != nil {
			bad = append(bad, p)
		}
		out = append(out, backend)
	}
	return out, bad
}
