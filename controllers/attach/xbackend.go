package attach

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/external"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// External is an XBackend (GEP-4894), and how it stands with the Gateways whose
// routes lead to it.
type External struct {
	Object     *gatewayxv1alpha1.XBackend
	Gateways   []types.NamespacedName
	Conditions []metav1.Condition // Accepted; the same with all of them
}

// externals finds the Gateways of every XBackend. Those that have none are left
// out, but where their status still has entries of ours.
func (b *Builder) externals(s *store.Store, g *graph.Graph) (out []*External) {
	objects := s.Read().XBackends()
	if len(objects) == 0 {
		return nil
	}
	used, refused := map[types.NamespacedName][]types.NamespacedName{}, map[types.NamespacedName]*spec.Problem{}
	for _, route := range g.Routes {
		for _, backend := range externalsOf(route) {
			if backend.TLS != nil {
				refused[backend.Service] = backend.TLS.Refused
			}
			for _, p := range route.Parents {
				if len(p.Attached) > 0 {
					used[backend.Service] = append(used[backend.Service], p.Gateway)
				}
			}
		}
	}
	for _, obj := range objects {
		name := types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}
		e := &External{Object: obj, Gateways: unique(used[name])}
		stale := slices.ContainsFunc(obj.Status.Ancestors, func(a gatewayxv1alpha1.BackendAncestorStatus) bool {
			return a.ControllerName == b.config.Controller
		})
		if len(e.Gateways) == 0 && !stale {
			continue
		}
		accepted := metav1.Condition{
			Type: string(gatewayv1.GatewayConditionAccepted), Status: metav1.ConditionTrue, Reason: string(gatewayv1.GatewayReasonAccepted),
			Message: "routes of the Gateway may use the backend", ObservedGeneration: obj.Generation,
		}
		if p := cmp.Or(external.Check(obj), refused[name]); p != nil {
			accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, string(gatewayv1.GatewayReasonInvalid), p.Text
		}
		e.Conditions = []metav1.Condition{accepted}
		out = append(out, e)
	}
	return out
}

// externalsOf are the XBackends of its own namespace that a route refers to.
func externalsOf(route *graph.Route) (out []*graph.Backend) {
	add := func(list []*graph.Backend) {
		for _, backend := range list {
			if backend.Outside && backend.Service.Namespace == route.Object.Namespace {
				out = append(out, backend)
			}
		}
	}
	for _, rule := range route.Rules {
		add(rule.Backends)
		add(rule.Asides)
		for _, backend := range rule.Backends {
			add(backend.Asides)
		}
	}
	return out
}

// maxGateways is how many the schema of BackendStatus has room for.
const maxGateways = 32

func unique(names []types.NamespacedName) []types.NamespacedName {
	slices.SortFunc(names, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	names = slices.Compact(names)
	return names[:min(len(names), maxGateways)]
}
