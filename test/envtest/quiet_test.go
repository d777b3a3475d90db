//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// TestQuiet proves that nothing is written when nothing has changed: not with time, not when an object nobody asked about is touched,
// not by a Gatehouse that starts anew.
func TestQuiet(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"), authPolicy, validationPolicy)
	g := w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()
	affected := "\ngatehouse.dev/AuthPolicyAffected=True PolicyAffected @0\ngatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0"
	Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell+affected)
	Status(w, "staff", &v1alpha1.AuthPolicy{}, policyWell)
	Status(w, "small", &v1alpha1.ValidationPolicy{}, policyWell)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1)+"\ngatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0")
	Status(w, w.Namespace, &gatewayv1.GatewayClass{}, "Accepted=True Accepted @0\nSupportedVersion=True SupportedVersion @0")
	// One write for each of the five objects suffices, but a Gateway waits for its port to be bound.
	if spent := writes(t, w.Namespace); len(spent) > 6 {
		t.Errorf("5 objects took %d writes: %v", len(spent), spent)
	}

	watched := map[string]client.Object{
		w.Namespace: &gatewayv1.GatewayClass{}, "edge": &gatewayv1.Gateway{}, "r": &gatewayv1.HTTPRoute{},
		"staff": &v1alpha1.AuthPolicy{}, "small": &v1alpha1.ValidationPolicy{},
	}
	versions := func() string {
		text := ""
		for _, name := range []string{w.Namespace, "edge", "r", "staff", "small"} {
			text += name + "=" + Get(w, name, watched[name]).GetResourceVersion() + " "
		}
		return text
	}
	was := versions()
	still := func() string {
		if now := versions(); now != was {
			return fmt.Sprintf("written without need: %s became %s", was, now)
		}
		return ""
	}
	for i := range 3 {
		Change(w, "api", &corev1.Service{}, func(s *corev1.Service) { s.Annotations = map[string]string{"example.com/touched": fmt.Sprint(i)} }, w.spec)
		throughout(t, time.Second, still)
	}
	g.Stop()
	w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()
	throughout(t, 3*time.Second, still)
}

// TestFight has another controller write the status of the same route all the time: both get their way.
func TestFight(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.Run().WaitReady()
	Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- w.fight("r", stop) }()
	for i := range 5 {
		path := fmt.Sprintf("/fight-%d", i)
		w.Apply(routeTo("r", path))
		w.Expect(path, http.StatusOK)
		eventually(t, 10*time.Second, func() string {
			r := Get(w, "r", &gatewayv1.HTTPRoute{})
			for _, p := range r.Status.Parents {
				if p.ControllerName == gatewayv1.GatewayController(w.controller) && condition(p.Conditions, "Accepted").ObservedGeneration == r.Generation {
					return ""
				}
			}
			return "our status is not written:\n" + describe(r)
		})
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, e := range writes(t, w.Namespace) {
		if e.ResponseStatus.Code == http.StatusConflict {
			lost++
		}
	}
	t.Logf("%d writes of Gatehouse's met a conflict", lost)
	Status(w, "r", &gatewayv1.HTTPRoute{}, "parent Gateway edge by example.com/other\nAccepted=True Accepted @0"+routeWell)
}

// fight writes an entry of another controller's over and over, with the newest generation in it.
func (w *World) fight(name string, stop <-chan struct{}) error {
	for {
		var r gatewayv1.HTTPRoute
		if err := w.Client.Get(context.Background(), client.ObjectKey{Namespace: w.Namespace, Name: name}, &r); err != nil {
			return err
		}
		parents := []gatewayv1.RouteParentStatus{{
			ParentRef: gatewayv1.ParentReference{Name: "edge"}, ControllerName: "example.com/other",
			Conditions: []metav1.Condition{{
				Type: "Accepted", Status: "True", Reason: "Accepted", Message: time.Now().String(), LastTransitionTime: metav1.Now(), ObservedGeneration: r.Generation,
			}},
		}}
		for _, p := range r.Status.Parents {
			if p.ControllerName != "example.com/other" {
				parents = append(parents, p)
			}
		}
		r.Status.Parents = parents
		if err := w.Client.Status().Update(context.Background(), &r); err != nil && !apierrors.IsConflict(err) {
			return err
		}
		select {
		case <-stop:
			if condition(r.Status.Parents[0].Conditions, "Accepted").ObservedGeneration == r.Generation {
				return nil
			}
		default:
		}
	}
}
