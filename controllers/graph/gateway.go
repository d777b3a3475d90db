package graph

import (
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// gatewayInput is what a Gateway node is made of beside what it reads.
type gatewayInput struct {
	name  types.NamespacedName
	taken *taken // nil: no older Gateway is in its way
}

// gateway is nil for a Gateway of another controller's class.
func (b *Builder) gateway(r *store.Reader, in gatewayInput) *Gateway {
	obj := r.Gateway(in.name)
	class := b.ours(r, obj)
	if class == nil {
		return nil
	}
	gw := &Gateway{Object: obj}
	refused := gatewayProblem(obj)
	address, unusable := bindAddress(obj)
	serves := refused == nil && unusable == nil && classProblem(class) == nil
	conflicts := conflictsOf(obj)
	for i := range obj.Spec.Listeners {
		l := b.listener(r, listenerInput{obj, i, in.taken, conflicts[i]})
		l.Address = address
		l.Serves = l.Serves && serves
		l.Conditions = append(l.Conditions, listenerProgrammed(l.Serves))
		gw.Listeners = append(gw.Listeners, l)
	}
	overlapping(gw.Listeners)
	for _, l := range gw.Listeners {
		observed(obj.Generation, l.Conditions)
	}
	switch {
	case classProblem(class) != nil:
		text := fmt.Sprintf("GatewayClass %s is not accepted: %s", class.Name, classProblem(class).text)
		gw.Conditions = []metav1.Condition{
			condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionUnknown, gatewayv1.GatewayReasonPending, text),
			condition(gatewayv1.GatewayConditionProgrammed, metav1.ConditionUnknown, gatewayv1.GatewayReasonPending, text),
		}
	case refused != nil:
		gw.Conditions = []metav1.Condition{
			no(gatewayv1.GatewayConditionAccepted, refused.reason, refused.text),
			no(gatewayv1.GatewayConditionProgrammed, gatewayv1.GatewayReasonInvalid, refused.text),
		}
	default:
		gw.Conditions = gatewayConditions(gw.Listeners, unusable)
	}
	observed(obj.Generation, gw.Conditions)
	if holds(gw.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
		gw.Addresses = b.addresses(address)
	}
	return gw
}

// gatewayConditions says how much of an acceptable Gateway can serve.
func gatewayConditions(listeners []*Listener, unusable *problem) []metav1.Condition {
	var good, bad []string
	for _, l := range listeners {
		if l.usable {
			good = append(good, string(l.Spec.Name))
		} else {
			bad = append(bad, string(l.Spec.Name))
		}
	}
	accepted := yes(gatewayv1.GatewayConditionAccepted, gatewayv1.GatewayReasonAccepted, "the Gateway is accepted")
	programmed := yes(gatewayv1.GatewayConditionProgrammed, gatewayv1.GatewayReasonProgrammed, "the listeners serve")
	switch {
	case len(good) == 0:
		text := "no listener can serve; see the conditions of " + strings.Join(bad, ", ")
		accepted = no(gatewayv1.GatewayConditionAccepted, gatewayv1.GatewayReasonListenersNotValid, text)
		programmed = no(gatewayv1.GatewayConditionProgrammed, gatewayv1.GatewayReasonInvalid, text)
	case len(bad) > 0:
		accepted.Reason = string(gatewayv1.GatewayReasonListenersNotValid)
		accepted.Message = fmt.Sprintf("listeners that can serve: %s; that cannot, see their conditions: %s",
			strings.Join(good, ", "), strings.Join(bad, ", "))
		programmed.Message = "these listeners serve: " + strings.Join(good, ", ")
	}
	if unusable != nil {
		programmed = no(gatewayv1.GatewayConditionProgrammed, unusable.reason, unusable.text)
	}
	return []metav1.Condition{accepted, programmed}
}

// gatewayProblem finds what keeps a Gateway from being accepted, whatever its listeners.
func gatewayProblem(obj *gatewayv1.Gateway) *problem {
	if infra := obj.Spec.Infrastructure; infra != nil && infra.ParametersRef != nil {
		return problemf(gatewayv1.GatewayReasonInvalidParameters, "spec.infrastructure.parametersRef: %s %s is not supported; remove parametersRef",
			infra.ParametersRef.Kind, infra.ParametersRef.Name)
	}
	for i, a := range obj.Spec.Addresses {
		if kind := addressType(a.Type); kind != gatewayv1.IPAddressType {
			return problemf(gatewayv1.GatewayReasonUnsupportedAddress, "spec.addresses[%d].type: %s is not supported; give an IPAddress", i, kind)
		}
	}
	if tls := obj.Spec.TLS; tls != nil && tls.Backend != nil {
		return problemf(gatewayv1.GatewayReasonInvalid, "spec.tls.backend is not supported; remove it")
	}
	return nil
}

func addressType(t *gatewayv1.AddressType) gatewayv1.AddressType {
	if t == nil {
		return gatewayv1.IPAddressType
	}
	return *t
}

// bindAddress returns the IP the listeners bind, "" for all, or why the one that
// spec.addresses asks for cannot be used. Whether the machine has it is found
// out when it is bound.
func bindAddress(obj *gatewayv1.Gateway) (string, *problem) {
	if len(obj.Spec.Addresses) == 0 {
		return "", nil
	}
	if len(obj.Spec.Addresses) > 1 {
		return "", problemf(gatewayv1.GatewayReasonAddressNotUsable,
			"spec.addresses[1]: a Gateway listens on one address, or on all when it names none; move %q to a Gateway of its own", obj.Spec.Addresses[1].Value)
	}
	value := obj.Spec.Addresses[0].Value
	if value == "" {
		return "", problemf(gatewayv1.GatewayReasonAddressNotAssigned,
			"spec.addresses[0].value: addresses are not assigned; give an IP address of the machine, or remove addresses to listen on all")
	}
	ip, err := netip.ParseAddr(value)
	if err != nil || ip.IsUnspecified() || ip.Zone() != "" {
		return "", problemf(gatewayv1.GatewayReasonAddressNotUsable,
			"spec.addresses[0].value: %q is not the IP address of a machine; give one, or remove addresses to listen on all", value)
	}
	return ip.String(), nil
}

// addresses are what the status reports: the one the Gateway binds, or those of
// the machine.
func (b *Builder) addresses(bound string) (out []gatewayv1.GatewayStatusAddress) {
	values := b.config.Addresses
	if bound != "" {
		values = []string{bound}
	}
	for _, value := range values {
		kind := gatewayv1.HostnameAddressType
		if _, err := netip.ParseAddr(value); err == nil {
			kind = gatewayv1.IPAddressType
		}
		out = append(out, gatewayv1.GatewayStatusAddress{Type: &kind, Value: value})
	}
	return out
}
