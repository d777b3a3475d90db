package graph

import (
	"cmp"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/params"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// gatewayInput is what a Gateway node is made of beside what it reads.
type gatewayInput struct {
	name  types.NamespacedName
	taken *taken // nil: no older Gateway is in its way
	lost  string // the target ports that an older Service has
}

// gateway is nil for a Gateway of another controller's class.
func (b *Builder) gateway(r *store.Reader, in gatewayInput) *Gateway {
	obj := r.Gateway(in.name)
	class := b.ours(r, obj)
	if class == nil {
		return nil
	}
	refused, found := b.refused(obj), params.Of(r, class, obj)
	gw := &Gateway{Object: obj, Clients: found.Clients}
	way := b.way(r, obj, in.lost)
	accepted := refused == nil && found.Problem() == nil
	// With parameters that are wrong a Gateway goes on with the Service it has.
	serves := way.unusable == nil && (accepted || refused == nil && b.config.Services)
	conflicts := conflictsOf(obj)
	for i := range obj.Spec.Listeners {
		l := b.listener(r, listenerInput{own(obj), i, in.taken, conflicts[i]})
		l.Serves = l.Serves && serves
		l.Conditions = append(l.Conditions, way.lead(l))
		gw.Listeners = append(gw.Listeners, l)
	}
	first := gw.Listeners // its own
	gw.Sets = b.listenerSets(r, setInput{obj, accepted, serves, in.taken, way})
	for _, set := range gw.Sets {
		gw.Listeners = append(gw.Listeners, set.Listeners...)
	}
	if refused == nil && b.config.Services {
		gw.Service = needs(obj, gw.Listeners, found)
	}
	overlapping(gw.Listeners)
	for _, l := range first {
		observed(obj.Generation, l.Conditions)
	}
	for _, set := range gw.Sets {
		set.observed()
	}
	if accepted {
		gw.Conditions = gatewayConditions(first, cmp.Or(way.unusable, pending(gw.Listeners), way.away))
	} else {
		gw.Conditions = refusedConditions(cmp.Or(refused, found.OfGateway), class.Name, found.OfClass, serving(gw.Listeners))
	}
	if scope := spec.DefaultScope(obj); scope != "" {
		gw.Conditions = append(gw.Conditions, yes(spec.ConditionDefaultGateway, spec.ConditionDefaultGateway, "the Gateway has default scope "+scope))
	}
	gw.Conditions = append(gw.Conditions, b.frontAndBack(r, gw)...)
	observed(obj.Generation, gw.Conditions)
	if holds(gw.Conditions, string(gatewayv1.GatewayConditionProgrammed)) || !accepted && serving(gw.Listeners) {
		gw.Addresses = way.addresses
	}
	return gw
}

// refusedConditions are those of a Gateway that is not accepted: for a problem of
// its own, or while its class is not accepted for one.
func refusedConditions(own *spec.Problem, class string, ofClass *spec.Problem, serves bool) []metav1.Condition {
	still := ""
	if serves {
		still = "; what was set up before goes on serving"
	}
	if ofClass != nil {
		text := fmt.Sprintf("GatewayClass %s is not accepted: %s%s", class, ofClass.Text, still)
		return []metav1.Condition{
			condition(gatewayv1.GatewayConditionAccepted, metav1.ConditionUnknown, gatewayv1.GatewayReasonPending, text),
			condition(gatewayv1.GatewayConditionProgrammed, metav1.ConditionUnknown, gatewayv1.GatewayReasonPending, text),
		}
	}
	return []metav1.Condition{
		no(gatewayv1.GatewayConditionAccepted, own.Reason, own.Text+still),
		no(gatewayv1.GatewayConditionProgrammed, gatewayv1.GatewayReasonInvalid, own.Text+still),
	}
}

// gatewayConditions says how much of an acceptable Gateway can serve.
func gatewayConditions(listeners []*Listener, unusable *spec.Problem) []metav1.Condition {
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
		programmed = no(gatewayv1.GatewayConditionProgrammed, unusable.Reason, unusable.Text)
	}
	return []metav1.Condition{accepted, programmed}
}

// maxAddresses is how many the schema of GatewayStatus has room for.
const maxAddresses = 16

// addresses are what the status reports: the one the Gateway binds, or those of
// the machine.
func (b *Builder) addresses(bound string) []gatewayv1.GatewayStatusAddress {
	values := b.config.Addresses
	if bound != "" {
		values = []string{bound}
	}
	return statusAddresses(values)
}
