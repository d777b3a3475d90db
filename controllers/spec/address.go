package spec

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Assigned finds what keeps callers from a Gateway whose Service, of that type, has
// these addresses: it has none yet, or not those that spec.addresses asks for. An address without a
// value asks for any (GatewaySpecAddress).
func Assigned(obj *gatewayv1.Gateway, of corev1.ServiceType, have []string) *Problem {
	for i, a := range obj.Spec.Addresses {
		if a.Value != "" && !slices.ContainsFunc(have, func(value string) bool { return sameAddress(a.Value, value) }) {
			return Problemf(gatewayv1.GatewayReasonAddressNotUsable,
				"spec.addresses[%d].value: the Service of the Gateway was not assigned %q; give an address that its load balancer has and nobody uses, or leave the value out for any", i, a.Value)
		}
	}
	if len(have) == 0 && of == corev1.ServiceTypeNodePort {
		return Problemf(gatewayv1.GatewayReasonAddressNotAssigned,
			"no address of a node is known; run gatehouse with --addresses, or let the Service be of type LoadBalancer")
	}
	if len(have) == 0 {
		return Problemf(gatewayv1.GatewayReasonAddressNotAssigned,
			"no address is assigned to the Service of the Gateway yet; something in the cluster must assign them to Services of type LoadBalancer")
	}
	return nil
}

func sameAddress(a, b string) bool {
	x, err := netip.ParseAddr(a)
	if err != nil {
		return strings.EqualFold(a, b)
	}
	y, err := netip.ParseAddr(b)
	return err == nil && x == y
}

// HostAddresses finds an address that a machine cannot give a Gateway.
func HostAddresses(obj *gatewayv1.Gateway) *Problem {
	for i, a := range obj.Spec.Addresses {
		if kind := kindOf(a.Type, gatewayv1.IPAddressType); kind != string(gatewayv1.IPAddressType) {
			return Problemf(gatewayv1.GatewayReasonUnsupportedAddress, "spec.addresses[%d].type: %s is not supported; give an IPAddress", i, kind)
		}
	}
	return nil
}

// WantedIP is the IP address a Gateway asks for, "" for any. A load balancer can
// be asked for one.
func WantedIP(obj *gatewayv1.Gateway) string {
	for _, a := range obj.Spec.Addresses {
		if ip, err := netip.ParseAddr(a.Value); err == nil {
			return ip.String()
		}
	}
	return ""
}
