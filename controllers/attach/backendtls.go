package attach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// destination is a port of a Service that requests which come through a Gateway
// may go to.
type destination struct {
	gateway types.NamespacedName
	service types.NamespacedName
	port    int32
}

// addStreams adds where the connections of TLSRoutes go whose TLS ends here.
func addStreams(reached map[types.NamespacedName][]destination, g *graph.Graph) {
	ends := map[graph.ListenerKey]bool{} // where TLS ends, and may begin anew
	for _, gw := range g.Gateways {
		for _, l := range gw.Listeners {
			ends[l.Key] = spec.Terminates(l.Spec)
		}
	}
	for _, r := range g.Streams {
		if r.Kind == spec.KindTLSRoute {
			addDestinations(reached, pairs(r.Parents, r.Backends, func(at *graph.Attachment) bool { return ends[at.Listener] }))
		}
	}
}

// routeDestinations are where a route sends requests, or copies of them.
func routeDestinations(r *graph.Route) []destination {
	var backends []*graph.Backend
	for _, rule := range r.Rules {
		backends = append(append(backends, rule.Backends...), rule.Asides...)
		for _, b := range rule.Backends {
			backends = append(backends, b.Asides...)
		}
	}
	return pairs(r.Parents, backends, func(*graph.Attachment) bool { return true })
}

// pairs puts every backend under every Gateway that a route is attached to by an
// attachment that counts.
func pairs(parents []*graph.Parent, backends []*graph.Backend, counts func(*graph.Attachment) bool) (out []destination) {
	for _, p := range parents {
		if !slices.ContainsFunc(p.Attached, counts) {
			continue
		}
		for _, b := range backends {
			d := destination{p.Gateway, b.Service, b.Port}
			if b.Service.Name != "" && !b.Outside && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

func addDestinations(to map[types.NamespacedName][]destination, list []destination) {
	for _, d := range list {
		if !slices.Contains(to[d.service], d) {
			to[d.service] = append(to[d.service], d)
		}
	}
}

// securedAncestors are the entries of a BackendTLSPolicy's status, one per
// Gateway.
func (b *Builder) securedAncestors(s *store.Store, p *gatewayv1.BackendTLSPolicy, reached map[types.NamespacedName][]destination, into *Policies) []*Ancestor {
	r, settings := s.Read(), b.secured.Get(s, nameOf(p), backendtls.Read)
	under := map[types.NamespacedName]*targets{}
	for i := range p.Spec.TargetRefs {
		ref := &p.Spec.TargetRefs[i]
		if !backendtls.IsService(ref) {
			continue // another controller's
		}
		service := r.Service(types.NamespacedName{Namespace: p.Namespace, Name: string(ref.Name)})
		if service == nil {
			continue // no Gateway leads to it
		}
		port, exists := portOf(service, backendtls.Section(ref))
		for _, d := range reached[nameOf(service)] {
			if exists && port != 0 && port != d.port {
				continue
			}
			u := under[d.gateway]
			if u == nil {
				u = &targets{}
				under[d.gateway] = u
			}
			u.note(r, p, ref, exists)
		}
	}
	var out []*Ancestor
	for gateway, u := range under {
		conditions := securedConditions(settings, u)
		for i := range conditions {
			conditions[i].ObservedGeneration = p.Generation
		}
		out = append(out, &Ancestor{Gateway: gateway, Conditions: conditions})
	}
	sortAncestors(out)
	return b.fit(out, &p.Status, PolicyKey{string(store.BackendTLSPolicy), nameOf(p)}, into)
}

// portOf is the port that a section names; 0 for none in particular.
func portOf(service *corev1.Service, section string) (port int32, exists bool) {
	if section == "" {
		return 0, true
	}
	for _, p := range service.Spec.Ports {
		if p.Name == section {
			return p.Port, true
		}
	}
	return 0, false
}

// note takes what became of one target under one Gateway, once.
func (u *targets) note(r *store.Reader, p *gatewayv1.BackendTLSPolicy, ref *gatewayv1.LocalPolicyTargetReferenceWithSectionName, exists bool) {
	what := "Service " + string(ref.Name)
	if section := backendtls.Section(ref); section != "" {
		what += " port " + section
	}
	switch rival := backendtls.Rival(r, p, ref); {
	case !exists:
		u.gone = appendNew(u.gone, what+" does not exist; check sectionName, which is the name of a port")
	case rival != nil:
		u.lost = appendNew(u.lost, fmt.Sprintf("BackendTLSPolicy %s targets %s too and was there first", rival.Name, what))
	default:
		u.found++
	}
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// securedConditions are Accepted and ResolvedRefs.
func securedConditions(s *backendtls.Settings, u *targets) []metav1.Condition {
	accepted := metav1.Condition{
		Type: string(gatewayv1.PolicyConditionAccepted), Status: metav1.ConditionFalse,
		Reason: string(gatewayv1.PolicyReasonAccepted), Message: "the policy is accepted",
	}
	beside := strings.Join(slices.Concat(u.lost, u.gone), "; ")
	switch {
	case u.found == 0 && len(u.lost) > 0:
		accepted.Reason, accepted.Message = string(gatewayv1.PolicyReasonConflicted), beside
	case u.found == 0:
		accepted.Reason, accepted.Message = string(gatewayv1.PolicyReasonTargetNotFound), beside
	case s.Refused != nil:
		accepted.Reason, accepted.Message = s.Refused.Reason, s.Refused.Text+"; requests to what it covers get 500"
	default:
		accepted.Status = metav1.ConditionTrue
		if beside != "" {
			accepted.Message += ", but " + beside
		}
	}
	resolved := metav1.Condition{
		Type: string(gatewayv1.BackendTLSPolicyConditionResolvedRefs), Status: metav1.ConditionTrue,
		Reason: string(gatewayv1.BackendTLSPolicyReasonResolvedRefs), Message: "all references are resolved",
	}
	if s.Unresolved != nil {
		resolved.Status, resolved.Reason, resolved.Message = metav1.ConditionFalse, s.Unresolved.Reason, s.Unresolved.Text
	}
	return []metav1.Condition{accepted, resolved}
}

func (b *Builder) ours(status *gatewayv1.PolicyStatus) bool {
	return slices.ContainsFunc(status.Ancestors, func(a gatewayv1.PolicyAncestorStatus) bool { return a.ControllerName == b.config.Controller })
}

func sortAncestors(list []*Ancestor) {
	slices.SortFunc(list, func(a, b *Ancestor) int {
		return cmp.Or(strings.Compare(a.Gateway.Namespace, b.Gateway.Namespace), strings.Compare(a.Gateway.Name, b.Gateway.Name))
	})
}

// fit leaves out the ancestors that a policy's status has no room for, because
// others have filled it; the Gateway says so instead (GEP-713).
func (b *Builder) fit(list []*Ancestor, status *gatewayv1.PolicyStatus, key PolicyKey, into *Policies) []*Ancestor {
	room := spec.MaxAncestors
	for _, a := range status.Ancestors {
		if a.ControllerName != b.config.Controller {
			room--
		}
	}
	if room = max(room, 0); len(list) <= room {
		return list
	}
	for _, a := range list[room:] {
		if a.Missing.Kind != "" {
			continue
		}
		if into.Unreported == nil {
			into.Unreported = map[types.NamespacedName][]PolicyKey{}
		}
		into.Unreported[a.Gateway] = append(into.Unreported[a.Gateway], key)
	}
	return list[:room]
}
