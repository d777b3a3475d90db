package graph

import (
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestOverlapping(t *testing.T) {
	listener := func(port gatewayv1.PortNumber, host string, names ...string) *Listener {
		return &Listener{
			Spec:     &gatewayv1.Listener{Name: gatewayv1.SectionName(host), Port: port, Protocol: gatewayv1.HTTPSProtocolType},
			Hostname: host, Certificates: []*Certificate{{Names: names}},
		}
	}
	f := func(name string, a, b *Listener, want gatewayv1.ListenerConditionReason) {
		t.Helper()
		overlapping([]*Listener{a, b})
		for _, l := range []*Listener{a, b} {
			got := gatewayv1.ListenerConditionReason("")
			if len(l.Conditions) > 0 {
				got = gatewayv1.ListenerConditionReason(l.Conditions[0].Reason)
			}
			if got != want {
				t.Errorf("%s: %s has %q, want %q", name, l.Spec.Name, got, want)
			}
		}
	}
	f("apart", listener(443, "a.example", "a.example"), listener(443, "b.example", "b.example"), "")
	f("hostnames", listener(443, "*.example", "*.example"), listener(443, "b.c.example", "b.c.example"), gatewayv1.ListenerReasonOverlappingHostnames)
	f("certificates", listener(443, "a.example", "*.example"), listener(443, "b.example", "b.example"), gatewayv1.ListenerReasonOverlappingCertificates)
	f("both", listener(443, "*.example", "*.example"), listener(443, "b.example", "b.example"), gatewayv1.ListenerReasonOverlappingCertificates)
	f("one label only", listener(443, "a.example", "*.example"), listener(443, "b.c.example", "b.c.example"), "")
	f("ports", listener(443, "", "a.example"), listener(8443, "", "a.example"), "")
	f("no names", listener(443, "a.example"), listener(443, "b.example"), "")
}
