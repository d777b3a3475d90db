package spec

import (
	"net/netip"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Gateway finds what keeps a Gateway from being accepted, whatever its listeners.
func Gateway(obj *gatewayv1.Gateway) *Problem {
	for i, a := range obj.Spec.Addresses {
		switch kind := kindOf(a.Type, gatewayv1.IPAddressType); gatewayv1.AddressType(kind) {
		case gatewayv1.IPAddressType, gatewayv1.HostnameAddressType:
		default:
			return Problemf(gatewayv1.GatewayReasonUnsupportedAddress, "spec.addresses[%d].type: %s is not supported; give an IPAddress or a Hostname", i, kind)
		}
	}
	return nil
}

// BindAddress returns the IP that the listeners of a Gateway bind, "" for all, or
// why the one that spec.addresses asks for cannot be used. Whether the machine
// has it is found out when it is bound.
func BindAddress(obj *gatewayv1.Gateway) (string, *Problem) {
	if len(obj.Spec.Addresses) == 0 {
		return "", nil
	}
	if len(obj.Spec.Addresses) > 1 {
		return "", Problemf(gatewayv1.GatewayReasonAddressNotUsable,
			"spec.addresses[1]: a Gateway listens on one address, or on all when it names none; move %q to a Gateway of its own", obj.Spec.Addresses[1].Value)
	}
	value := obj.Spec.Addresses[0].Value
	if value == "" {
		return "", Problemf(gatewayv1.GatewayReasonAddressNotAssigned,
			"spec.addresses[0].value: addresses are not assigned; give an IP address of the machine, or remove addresses to listen on all")
	}
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.IsUnspecified() || ip.Zone() != "" {
		return "", Problemf(gatewayv1.GatewayReasonAddressNotUsable,
			"spec.addresses[0].value: %q is not the IP address of a machine; give one, or remove addresses to listen on all", value)
	}
	return ip.String(), nil
}

// ParentRef is how a route could have named a Gateway.
func ParentRef(gw *gatewayv1.Gateway) gatewayv1.ParentReference {
	group, kind, namespace := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind("Gateway"), gatewayv1.Namespace(gw.Namespace)
	return gatewayv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gatewayv1.ObjectName(gw.Name)}
}

// ConditionDefaultGateway says that a Gateway is a default one, with the scope in
// its message (GEP-3793). The API's package has no name for it.
const ConditionDefaultGateway gatewayv1.GatewayConditionType = "DefaultGateway"

// DefaultScope is the default scope of a Gateway, "" for none.
func DefaultScope(gw *gatewayv1.Gateway) string {
	if gw.Spec.DefaultScope == gatewayv1.GatewayDefaultScopeNone {
		return ""
	}
	return string(gw.Spec.DefaultScope)
}
