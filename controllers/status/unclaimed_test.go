package status

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// TestClassGone takes the class of a Gateway away, which then is in no Graph; and does so for a class that is another controller's by now.
func TestClassGone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		gone  bool
		wants metav1.ConditionStatus
	}{{"gone", true, metav1.ConditionUnknown}, {"another's", false, metav1.ConditionTrue}} {
		t.Run(tc.name, func(t *testing.T) {
			s, g := newServer(t), edge()
			w := newWriter(s)
			gateway := func() *gatewayv1.Gateway {
				var gw gatewayv1.Gateway
				if err := s.Get(t.Context(), named("web", "gw"), &gw); err != nil {
					t.Fatal(err)
				}
				return &gw
			}
			gw := gateway()
			gw.Spec.GatewayClassName = "c"
			if err := s.Update(t.Context(), gw); err != nil {
				t.Fatal(err)
			}
			pass(t, w, g)
			if tc.gone {
				if err := s.Delete(t.Context(), g.graph.Classes[0].Object); err != nil {
					t.Fatal(err)
				}
			}
			without := &picture{&graph.Graph{}, edge().policies}
			pass(t, w, without)
			status := gateway().Status
			for _, c := range status.Conditions {
				if c.Status != tc.wants || tc.gone && !strings.Contains(c.Message, "GatewayClass c does not exist") {
					t.Errorf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message)
				}
			}
			if len(status.Conditions) != 2 || len(status.Addresses) != 1 {
				t.Errorf("%d conditions, %d addresses", len(status.Conditions), len(status.Addresses))
			}
			before := s.count()
			pass(t, w, without)
			pass(t, w, without)
			if s.count() != before {
				t.Errorf("told again: %v", s.writes[before:])
			}
			if _, kept := w.written[Key{kindGateway, named("web", "gw")}]; kept {
				t.Error("what is ours no longer is remembered")
			}
		})
	}
}
