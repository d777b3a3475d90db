package graph

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/params"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// supportedBundle is the release line of the Gateway API CRDs this is written for.
const supportedBundle = "v1.6."

// class is nil for a GatewayClass of another controller.
func (b *Builder) class(r *store.Reader, name string) *Class {
	obj := r.GatewayClass(name)
	if obj.Spec.ControllerName != b.config.Controller {
		return nil
	}
	c := &Class{Object: obj}
	if p := params.OfClass(r, obj); p != nil {
		c.Conditions = append(c.Conditions, no(gatewayv1.GatewayClassConditionStatusAccepted, p.Reason, p.Text))
	} else {
		c.Conditions = append(c.Conditions, yes(gatewayv1.GatewayClassConditionStatusAccepted,
			gatewayv1.GatewayClassReasonAccepted, "Gateways of this class are served"))
	}
	if b.config.Bundle != "" {
		c.Conditions = append(c.Conditions, supportedVersion(b.config.Bundle))
	}
	observed(obj.Generation, c.Conditions)
	return c
}

// supportedVersion serves an unknown version with best effort, and says so.
func supportedVersion(bundle string) metav1.Condition {
	if strings.HasPrefix(bundle, supportedBundle) {
		return yes(gatewayv1.GatewayClassConditionStatusSupportedVersion, gatewayv1.GatewayClassReasonSupportedVersion,
			"the Gateway API CRDs are of version "+bundle)
	}
	return no(gatewayv1.GatewayClassConditionStatusSupportedVersion, gatewayv1.GatewayClassReasonUnsupportedVersion,
		"the Gateway API CRDs are of version "+bundle+"; install "+supportedBundle+"x, this one is served with best effort")
}

// ours returns the class of a Gateway that is there, if the class is ours.
func (b *Builder) ours(r *store.Reader, gw *gatewayv1.Gateway) *gatewayv1.GatewayClass {
	if gw == nil {
		return nil
	}
	class := r.GatewayClass(string(gw.Spec.GatewayClassName))
	if class == nil || class.Spec.ControllerName != b.config.Controller {
		return nil
	}
	return class
}
