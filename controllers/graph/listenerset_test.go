package graph

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

func TestListenerSets(t *testing.T) {
	const ns = "kind: Namespace\nmetadata: {name: shop, labels: {edge: \"yes\"}}\n---\n"
	gateway := func(allowed string) string {
		return class + ns + gatewayYAML("allowedListeners: {namespaces: "+allowed+"}, listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.example}]")
	}
	set := func(namespace, listeners string) string {
		return "kind: ListenerSet\nmetadata: {name: set, namespace: " + namespace + ", generation: 2}\n" +
			"spec: {parentRef: {name: gw, namespace: web}, listeners: [" + listeners + "]}\n---\n"
	}
	const one = "{name: a, port: 80, protocol: HTTP, hostname: b.example}"
	expect(t, "none by default", class+gatewayYAML("listeners: [{name: a, port: 80, protocol: HTTP}]")+set("web", one),
		"set web/set listeners=0 Accepted=False/NotAllowed Programmed=False/NotAllowed")
	expect(t, "none", gateway("{from: None}")+set("web", one), "set web/set listeners=0 Accepted=False/NotAllowed")
	expect(t, "same", gateway("{from: Same}")+set("web", one)+set("shop", one),
		"set shop/set listeners=0 Accepted=False/NotAllowed", "set web/set listeners=1 Accepted=True/Accepted Programmed=True/Programmed")
	expect(t, "all", gateway("{from: All}")+set("shop", one), "set shop/set listeners=1 Accepted=True/Accepted")
	expect(t, "selected", gateway("{from: Selector, selector: {matchLabels: {edge: \"yes\"}}}")+set("shop", one), "set shop/set listeners=1 Accepted=True/Accepted")
	expect(t, "not selected", gateway("{from: Selector, selector: {matchLabels: {edge: \"no\"}}}")+set("shop", one), "set shop/set listeners=0 Accepted=False/NotAllowed")
	expect(t, "of a namespace that is not known", gateway("{from: Selector, selector: {matchLabels: {edge: \"yes\"}}}")+set("ghost", one), "set ghost/set listeners=0 Accepted=False/NotAllowed")
	expect(t, "two alike in one set", gateway("{from: All}")+set("shop", one+", {name: b, port: 80, protocol: HTTP, hostname: b.example}"),
		"serves=true", "serves=true", "serves=false", "Accepted=False/HostnameConflict", "set shop/set listeners=2 Accepted=True/ListenersNotValid Programmed=True/Programmed")
	expect(t, "no certificate", gateway("{from: All}")+set("shop", "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: web}]}}"),
		"lets ListenerSets of namespace shop use Secret c", "set shop/set listeners=1 Accepted=False/ListenersNotValid Programmed=False/ListenersNotValid")
	expect(t, "a Gateway that is refused", class+gatewayYAML("infrastructure: {parametersRef: {group: x, kind: P, name: p}}, "+
		"allowedListeners: {namespaces: {from: All}}, listeners: [{name: a, port: 80, protocol: HTTP}]")+set("shop", one),
		"set shop/set listeners=0 Accepted=False/ParentNotAccepted Programmed=False/ParentNotAccepted")
}

// A Service is a Gateway's own by the label and the owner together: one of the same name
// that somebody else has made, or that was of an earlier Gateway, is left alone.
func TestOwnService(t *testing.T) {
	gw := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Name: "gw", UID: "1"}}
	own := func() *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{store.ManagedBy: store.Manager}, OwnerReferences: []metav1.OwnerReference{{Kind: "Gateway", Name: "gw", UID: "1"}},
		}}
	}
	f := func(want bool, change func(*corev1.Service)) {
		t.Helper()
		s := own()
		if change(s); OwnService(gw, s) != want {
			t.Errorf("%+v: own is not %v", s.ObjectMeta, want)
		}
	}
	f(true, func(*corev1.Service) {})
	f(false, func(s *corev1.Service) { s.Labels = nil })
	f(false, func(s *corev1.Service) { s.OwnerReferences[0].UID = "0" })
	f(false, func(s *corev1.Service) { s.OwnerReferences[0].Name = "other" })
	f(false, func(s *corev1.Service) { s.OwnerReferences[0].Kind = "ListenerSet" })
}
