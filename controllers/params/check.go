package params

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// balanced says whether a Service of a type has a load balancer in front of it.
func balanced(t corev1.ServiceType) bool {
	return t == "" || t == corev1.ServiceTypeLoadBalancer
}

// onNodes says whether a Service of a type has ports on the nodes.
func onNodes(t corev1.ServiceType) bool { return t != corev1.ServiceTypeClusterIP }

// check finds what is wrong with parameters by themselves. What the schema
// refuses is looked at again, because objects from manifests have met no API
// server.
func check(s *v1alpha1.ServiceParameters) *spec.Problem {
	if p := misplaced(*s, s.Type); p != nil {
		return p
	}
	if s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack && len(s.IPFamilies) > 1 {
		return wrongf("spec.service.ipFamilies[1]: ipFamilyPolicy SingleStack takes one family; remove %s or change the policy", s.IPFamilies[1])
	}
	for i, r := range s.LoadBalancerSourceRanges {
		if _, err := netip.ParsePrefix(r); err != nil {
			return wrongf("spec.service.loadBalancerSourceRanges[%d]: %q is not in CIDR notation; give a range such as 192.0.2.0/24", i, r)
		}
	}
	for i, a := range s.NodePorts {
		for j, b := range s.NodePorts[:i] {
			if a.Protocol == b.Protocol && (a.Port == b.Port || a.NodePort == b.NodePort) {
				return wrongf("spec.service.nodePorts[%d]: has the port or nodePort of nodePorts[%d]; give each its own", i, j)
			}
		}
	}
	if class := s.LoadBalancerClass; class != nil && len(validation.IsQualifiedName(*class)) > 0 {
		return wrongf("spec.service.loadBalancerClass: %q is not a name such as example.com/internal; mend it", *class)
	}
	return keys(s)
}

// checkClients is check of the other part.
func checkClients(c *v1alpha1.ClientParameters) *spec.Problem {
	if p := checkLimits(c); p != nil || c.ProxyProtocol == nil {
		return p
	}
	for i, r := range c.ProxyProtocol.Trusted {
		if _, err := netip.ParsePrefix(r); err != nil {
			return wrongf("spec.clients.proxyProtocol.trusted[%d]: %q is not in CIDR notation; give a range such as 192.0.2.0/24", i, r)
		}
	}
	if len(c.ProxyProtocol.Trusted) == 0 {
		return wrongf("spec.clients.proxyProtocol.trusted: is empty; give the ranges that the load balancers connect from")
	}
	return nil
}

// keys finds a label or annotation that a Service cannot have, or that is ours.
func keys(s *v1alpha1.ServiceParameters) *spec.Problem {
	bad := func(field, key string) *spec.Problem {
		switch {
		case len(validation.IsQualifiedName(strings.ToLower(key))) > 0:
			return wrongf("spec.service.%s: %q is not a name such as example.com/team; mend it", field, key)
		case key == store.ManagedBy, key == gatewayv1.GatewayNameLabelKey, strings.HasPrefix(key, v1alpha1.GroupName+"/"):
			return wrongf("spec.service.%s: %s is set by Gatehouse itself; remove it", field, key)
		}
		return nil
	}
	for _, key := range sorted(s.Labels) {
		if p := bad("labels", key); p != nil {
			return p
		}
		if value := string(s.Labels[gatewayv1.LabelKey(key)]); len(validation.IsValidLabelValue(value)) > 0 {
			return wrongf("spec.service.labels: %q is no value for label %s; mend it", value, key)
		}
	}
	for _, key := range sorted(s.Annotations) {
		if p := bad("annotations", key); p != nil {
			return p
		}
	}
	return nil
}

// misplaced finds a setting that does not go with a type.
func misplaced(s v1alpha1.ServiceParameters, t corev1.ServiceType) *spec.Problem {
	field := ""
	switch {
	case !balanced(t) && s.LoadBalancerClass != nil:
		field = "loadBalancerClass"
	case !balanced(t) && len(s.LoadBalancerSourceRanges) > 0:
		field = "loadBalancerSourceRanges"
	case !onNodes(t) && s.ExternalTrafficPolicy != "":
		field = "externalTrafficPolicy"
	case !onNodes(t) && len(s.NodePorts) > 0:
		field = "nodePorts"
	default:
		return nil
	}
	return wrongf("spec.service.%s: does not go with type %s; remove it, or set another type beside it", field, t)
}

func wrongf(format string, args ...any) *spec.Problem {
	return spec.Problemf(gatewayv1.GatewayReasonInvalidParameters, format, args...)
}

func sorted[K ~string, V any](m map[K]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, string(k))
	}
	slices.Sort(out)
	return out
}
