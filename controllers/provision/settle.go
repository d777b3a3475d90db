package provision

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// settler puts parameters into the spec of a Service. A field they do not speak of
// is left to whoever set it, such as a webhook of the cloud's, but goes back to
// the cluster's default if they used to.
type settler struct {
	spec   *corev1.ServiceSpec
	before map[string]bool // fields that parameters set so far
	fields []string        // that they set now
}

// settle settles all but the ports, and returns the names of the fields it set.
func settle(spec *corev1.ServiceSpec, need *graph.Service, before map[string]bool) []string {
	p := need.Parameters
	s := settler{spec: spec, before: before}
	s.balancer(p, need.Address)
	set(&s, "internalTrafficPolicy", &spec.InternalTrafficPolicy, pointer(p.InternalTrafficPolicy), pointer(corev1.ServiceInternalTrafficPolicyCluster))
	set(&s, "ipFamilyPolicy", &spec.IPFamilyPolicy, pointer(p.IPFamilyPolicy), pointer(corev1.IPFamilyPolicyPreferDualStack))
	value(&s, "sessionAffinity", &spec.SessionAffinity, p.SessionAffinity, corev1.ServiceAffinityNone)
	if spec.SessionAffinity == corev1.ServiceAffinityNone {
		spec.SessionAffinityConfig = nil
	}
	if spec.Type == corev1.ServiceTypeClusterIP {
		spec.ExternalTrafficPolicy = ""
	} else {
		value(&s, "externalTrafficPolicy", &spec.ExternalTrafficPolicy, p.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if spec.Type != corev1.ServiceTypeLoadBalancer || spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		spec.HealthCheckNodePort = 0
	}
	// A second family may have been added where one was asked for.
	if n := len(p.IPFamilies); n > 0 && !slices.Equal(p.IPFamilies, spec.IPFamilies[:min(n, len(spec.IPFamilies))]) {
		spec.IPFamilies = slices.Clone(p.IPFamilies)
	}
	return s.fields
}

// balancer settles the type and what goes with a load balancer alone. The class
// of a load balancer can only be set together with the type (Service,
// spec.loadBalancerClass), so a Service that is to have another is made one
// without a load balancer, of which the next plan makes one of that class. It
// keeps its node ports meanwhile.
func (s *settler) balancer(p *v1alpha1.ServiceParameters, address string) {
	was := s.spec.Type
	s.spec.Type = corev1.ServiceTypeLoadBalancer
	if p.Type != "" {
		s.spec.Type = p.Type
	}
	class := s.spec.LoadBalancerClass
	set(s, "loadBalancerClass", &class, p.LoadBalancerClass, nil)
	if was == corev1.ServiceTypeLoadBalancer && s.spec.Type == was && !same(class, s.spec.LoadBalancerClass) {
		s.spec.Type = corev1.ServiceTypeNodePort
	}
	s.spec.LoadBalancerClass, s.spec.LoadBalancerIP = class, address
	if len(p.LoadBalancerSourceRanges) > 0 {
		s.spec.LoadBalancerSourceRanges = slices.Clone(p.LoadBalancerSourceRanges)
		s.fields = append(s.fields, "loadBalancerSourceRanges")
	} else if s.before["loadBalancerSourceRanges"] {
		s.spec.LoadBalancerSourceRanges = nil
	}
	if s.spec.Type != corev1.ServiceTypeLoadBalancer {
		s.spec.LoadBalancerClass, s.spec.LoadBalancerIP, s.spec.LoadBalancerSourceRanges = nil, "", nil
		s.spec.AllocateLoadBalancerNodePorts = nil
	}
}

// set sets a field to what is wanted, or else, if it was set, to the default.
func set[T any](s *settler, name string, field **T, want, otherwise *T) {
	if want != nil {
		*field = want
		s.fields = append(s.fields, name)
	} else if s.before[name] {
		*field = otherwise
	}
}

// value is set for a field whose zero value is not to be set.
func value[T ~string](s *settler, name string, field *T, want, otherwise T) {
	at := field
	set(s, name, &at, pointer(want), &otherwise)
	*field = *at
}

// pointer is nil for the zero value.
func pointer[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

func same(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// anew says whether a Service has to be made again: the first of its families
// stays for as long as it lives (Service, spec.ipFamilies).
func anew(have *corev1.Service, need *graph.Service) bool {
	return need.Parameters != nil && len(need.Parameters.IPFamilies) > 0 && len(have.Spec.IPFamilies) > 0 &&
		have.Spec.IPFamilies[0] != need.Parameters.IPFamilies[0]
}
