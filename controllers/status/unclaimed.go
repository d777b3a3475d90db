package status

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// unclaimed is what the status of a Gateway that was ours becomes when its class is no more.
// It is served no longer, and nobody else is there to say so. Its Service stays, and with it
// the address. It is nil if there is nothing to say: the Gateway is gone, another controller's,
// or says so.
func (w *Writer) unclaimed(ctx context.Context, key Key, was Desired) *Desired {
	var gw gatewayv1.Gateway
	if key.Kind != kindGateway || w.opts.Client.Get(ctx, key.NamespacedName, &gw) != nil || gw.UID != was.UID {
		return nil
	}
	name := string(gw.Spec.GatewayClassName)
	if err := w.opts.Client.Get(ctx, types.NamespacedName{Name: name}, &gatewayv1.GatewayClass{}); !apierrors.IsNotFound(err) {
		return nil
	}
	next := Desired{Key: key, UID: gw.UID, Gateway: &gatewayv1.GatewayStatus{Addresses: gw.Status.Addresses}}
	for _, kind := range []gatewayv1.GatewayConditionType{gatewayv1.GatewayConditionAccepted, gatewayv1.GatewayConditionProgrammed} {
		next.Gateway.Conditions = append(next.Gateway.Conditions, metav1.Condition{
			Type: string(kind), Status: metav1.ConditionUnknown, Reason: string(gatewayv1.GatewayReasonPending), ObservedGeneration: gw.Generation,
			Message: fmt.Sprintf("GatewayClass %s does not exist, so that nobody serves this Gateway", name),
		})
	}
	return &next
}
