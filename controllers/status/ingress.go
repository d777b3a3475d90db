package status

import (
	"cmp"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
)

// ingressStatus is what is to be said of one Ingress: the addresses of the Gateway
// it is served by in its status, and what is wrong with it in Events, since it has
// no conditions.
type ingressStatus struct {
	addresses []networkingv1.IngressLoadBalancerIngress
	faults    []ingress.Fault
}

// ingresses visits what is to be said of every Ingress.
func (p projection) ingresses(visit func(Desired, source)) {
	addresses := map[types.NamespacedName][]networkingv1.IngressLoadBalancerIngress{}
	for _, gw := range p.graph.Gateways {
		if gw.OfIngresses() {
			addresses[types.NamespacedName{Namespace: gw.Object.Namespace, Name: gw.Object.Name}] = p.ingressAddresses(gw)
		}
	}
	for _, in := range p.graph.Ingresses {
		visit(Desired{
			Key:        Key{kindIngress, types.NamespacedName{Namespace: in.Object.Namespace, Name: in.Object.Name}},
			Generation: in.Object.Generation,
			UID:        in.Object.UID,
			Ingress:    &ingressStatus{addresses[in.Gateway], in.Faults},
		}, source{})
	}
}

// ingressAddresses are those at which a Gateway serves.
func (p projection) ingressAddresses(gw *graph.Gateway) (out []networkingv1.IngressLoadBalancerIngress) {
	for _, a := range p.gateway(gw).Gateway.Addresses {
		entry := networkingv1.IngressLoadBalancerIngress{Hostname: a.Value}
		if _, err := netip.ParseAddr(a.Value); err == nil {
			entry = networkingv1.IngressLoadBalancerIngress{IP: a.Value}
		}
		out = append(out, entry)
	}
	return out
}

// mergeIngress puts the addresses into a status. Of an Ingress that is ours no
// longer they are taken out if they are still the ones that were written: whoever
// has it now writes its own.
func (w *Writer) mergeIngress(o *networkingv1.Ingress, want *ingressStatus) {
	if want != nil {
		o.Status.LoadBalancer.Ingress = want.addresses
		return
	}
	was := w.written[Key{kindIngress, client.ObjectKeyFromObject(o)}].desired.Ingress
	if was != nil && equality.Semantic.DeepEqual(o.Status.LoadBalancer.Ingress, was.addresses) {
		o.Status.LoadBalancer.Ingress = nil
	}
}

// tellFaults sends an Event for each fault that was not told of this Ingress
// before. It is told anew by the next leader, which knows of none.
func (w *Writer) tellFaults(o client.Object, want *ingressStatus) {
	if want == nil {
		return
	}
	told := map[ingress.Fault]bool{}
	if was := w.written[Key{kindIngress, client.ObjectKeyFromObject(o)}].desired; was.Ingress != nil && cmp.Or(was.UID, o.GetUID()) == o.GetUID() {
		for _, f := range was.Ingress.faults {
			told[f] = true
		}
	}
	for _, f := range want.faults {
		if !told[f] {
			told[f] = true
			w.opts.Event(o, f.Reason, cut(f.Text, maxNote))
		}
	}
}
