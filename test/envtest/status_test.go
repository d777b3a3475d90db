//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

const authPolicy = `
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: staff, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: r}}}}}}
`

const validationPolicy = `
apiVersion: gatehouse.dev/v1alpha1
kind: ValidationPolicy
metadata: {name: small, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: http}]
  rules: {checks: {size: {maxBodyBytes: 1Ki}}}
`

// What describe says of objects that are well.
const (
	gatewayWell = `
		address IPAddress 192.0.2.10
		address Hostname gw.example.com
		Accepted=True Accepted @0
		Programmed=True Programmed @0
		listener http routes=%d kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=True Accepted @0
		Conflicted=False NoConflicts @0
		Programmed=True Programmed @0
		ResolvedRefs=True ResolvedRefs @0`
	routeWell = `
		parent Gateway edge by CONTROLLER
		Accepted=True Accepted @0
		ResolvedRefs=True ResolvedRefs @0`
	policyWell = `
		ancestor Gateway NS/edge by CONTROLLER
		Accepted=True Accepted @0
		Programmed=True Programmed @0`
)

// TestStatus follows the statuses of every kind through an object's life.
func TestStatus(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()

	class := Status(w, w.Namespace, &gatewayv1.GatewayClass{}, "Accepted=True Accepted @0\nSupportedVersion=True SupportedVersion @0")
	names := make([]string, 0, len(class.Status.SupportedFeatures))
	for _, f := range class.Status.SupportedFeatures {
		names = append(names, string(f.Name))
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "HTTPRoute") || !slices.Contains(names, "ReferenceGrant") {
		t.Errorf("supportedFeatures are %v; want them sorted, with the core of HTTP and grants", names)
	}
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1))
	Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell)

	// A second route counts; a policy reaches the route, another the listener.
	w.Apply(routeTo("s", "/s"), authPolicy, validationPolicy)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 2)+"\ngatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0")
	affected := "\ngatehouse.dev/AuthPolicyAffected=True PolicyAffected @0\ngatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0"
	route := Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell+affected)
	policy := Status(w, "staff", &v1alpha1.AuthPolicy{}, policyWell)
	Status(w, "small", &v1alpha1.ValidationPolicy{}, policyWell)
	if message := condition(route.Status.Parents[0].Conditions, "gatehouse.dev/AuthPolicyAffected").Message; !strings.Contains(message, w.Namespace+"/staff") {
		t.Errorf("AuthPolicyAffected says %q, want it to name the policy", message)
	}

	// A new generation that changes nothing moves observedGeneration and no time. The API server keeps whole seconds.
	accepted := condition(policy.Status.Ancestors[0].Conditions, "Accepted")
	time.Sleep(1100 * time.Millisecond)
	w.Apply(strings.Replace(authPolicy, "gatehouse.dev/api-key: r", "gatehouse.dev/api-key: s", 1))
	policy = Status(w, "staff", &v1alpha1.AuthPolicy{}, policyWell)
	now := condition(policy.Status.Ancestors[0].Conditions, "Accepted")
	if now.ObservedGeneration <= accepted.ObservedGeneration || now.LastTransitionTime != accepted.LastTransitionTime {
		t.Errorf("after a change that changes nothing Accepted is %+v, was %+v", now, accepted)
	}
	// One that changes a status moves its time, and those of others not.
	w.Apply(strings.Replace(authPolicy, "name: r}]", "name: gone}]", 1))
	Status(w, "staff", &v1alpha1.AuthPolicy{}, "ancestor HTTPRoute NS/gone by CONTROLLER\nAccepted=False TargetNotFound @0")
	w.expectEvent("staff", "TargetNotFound")
	Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell+"\ngatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0")
	resolved := condition(Get(w, "r", &gatewayv1.HTTPRoute{}).Status.Parents[0].Conditions, "ResolvedRefs")
	accepted = condition(route.Status.Parents[0].Conditions, "Accepted")
	w.Apply(strings.Replace(routeTo("r", "/a"), "name: api", "name: gone", 1))
	route = Status(w, "r", &gatewayv1.HTTPRoute{}, `
		parent Gateway edge by CONTROLLER
		Accepted=True Accepted @0
		ResolvedRefs=False BackendNotFound @0
		gatehouse.dev/ValidationPolicyAffected=True PolicyAffected @0`)
	w.expectEvent("r", "BackendNotFound")
	if c := condition(route.Status.Parents[0].Conditions, "ResolvedRefs"); !c.LastTransitionTime.After(resolved.LastTransitionTime.Time) {
		t.Errorf("ResolvedRefs became %s at %v, and was %s at %v", c.Status, c.LastTransitionTime, resolved.Status, resolved.LastTransitionTime)
	}
	if c := condition(route.Status.Parents[0].Conditions, "Accepted"); c.LastTransitionTime != accepted.LastTransitionTime {
		t.Errorf("Accepted moved from %v to %v", accepted.LastTransitionTime, c.LastTransitionTime)
	}

	w.Delete(routeTo("s", "/s"), validationPolicy)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1))
}

// TestNodeAddress has the Gateway reached at the node Gatehouse runs on.
func TestNodeAddress(t *testing.T) {
	w := NewWorld(t, base)
	node := &corev1.Node{}
	node.Name = w.Namespace
	if err := w.Client.Create(context.Background(), node); err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "node"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.7"}, {Type: corev1.NodeExternalIP, Address: "192.0.2.7"},
	}
	if err := w.Client.Status().Update(context.Background(), node); err != nil {
		t.Fatal(err)
	}
	w.Run("--node", node.Name)
	Status(w, "edge", &gatewayv1.Gateway{}, strings.Replace(strings.Replace(fmt.Sprintf(gatewayWell, 0), "address Hostname gw.example.com", "", 1), "192.0.2.10", "192.0.2.7", 1))
}

// TestForeign puts entries of other controllers beside ours, and takes away what ours stand on.
func TestForeign(t *testing.T) {
	w := NewWorld(t, base, routeTo("r", "/a"), authPolicy, `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: NS-foreign}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign, namespace: NS}
spec:
  gatewayClassName: NS-foreign
  listeners: [{name: http, protocol: HTTP, port: PORT2}]
`)
	t.Cleanup(func() {
		class := &gatewayv1.GatewayClass{}
		class.Name = w.Namespace + "-foreign"
		if err := w.Client.Delete(context.Background(), class); err != nil {
			t.Error(err)
		}
	})
	other := func(parent string) gatewayv1.RouteParentStatus {
		return gatewayv1.RouteParentStatus{
			ParentRef: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(parent)}, ControllerName: "example.com/other",
			Conditions: []metav1.Condition{{Type: "Accepted", Status: "True", Reason: "Accepted", Message: "theirs", LastTransitionTime: metav1.Now()}},
		}
	}
	Change(w, "r", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) {
		r.Status.Parents = []gatewayv1.RouteParentStatus{other("foreign"), other("edge")}
	}, w.status)
	Change(w, "staff", &v1alpha1.AuthPolicy{}, func(p *v1alpha1.AuthPolicy) {
		p.Status.Ancestors = []gatewayv1.PolicyAncestorStatus{{AncestorRef: other("foreign").ParentRef, ControllerName: "example.com/other", Conditions: other("").Conditions}}
	}, w.status)
	w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()

	theirs := `
		parent Gateway foreign by example.com/other
		Accepted=True Accepted @-1
		parent Gateway edge by example.com/other
		Accepted=True Accepted @-1`
	theirPolicy := `
		ancestor Gateway foreign by example.com/other
		Accepted=True Accepted @-1`
	affected := "\ngatehouse.dev/AuthPolicyAffected=True PolicyAffected @0"
	Status(w, "r", &gatewayv1.HTTPRoute{}, theirs+routeWell+affected)
	Status(w, "staff", &v1alpha1.AuthPolicy{}, theirPolicy+policyWell)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1))

	// The route leaves our Gateway for theirs: ours goes, theirs stays.
	leave := strings.Replace(routeTo("r", "/a"), "name: edge", "name: foreign", 1)
	w.Apply(leave)
	Status(w, "r", &gatewayv1.HTTPRoute{}, strings.ReplaceAll(theirs, "@-1", "@-2"))
	Status(w, "staff", &v1alpha1.AuthPolicy{}, theirPolicy)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 0))
	w.Apply(routeTo("r", "/a"))
	Status(w, "r", &gatewayv1.HTTPRoute{}, strings.ReplaceAll(theirs, "@-1", "@-3")+routeWell+affected)

	// Our Gateway goes over to their class.
	class := gatewayv1.ObjectName(w.Namespace + "-foreign")
	Change(w, "edge", &gatewayv1.Gateway{}, func(g *gatewayv1.Gateway) { g.Spec.GatewayClassName = class }, w.spec)
	Status(w, "r", &gatewayv1.HTTPRoute{}, strings.ReplaceAll(theirs, "@-1", "@-3"))
	Status(w, "staff", &v1alpha1.AuthPolicy{}, theirPolicy)
	w.Expect("/a", 0)

	for _, e := range writes(t, w.Namespace) {
		if e.ObjectRef.Name == "foreign" {
			t.Errorf("an object of another controller was written: %s", e)
		}
	}
	foreign := Get(w, "foreign", &gatewayv1.Gateway{})
	if c := condition(foreign.Status.Conditions, "Accepted"); c.ObservedGeneration != 0 {
		t.Errorf("the foreign Gateway says %+v", c)
	}
}

func condition(list []metav1.Condition, kind string) metav1.Condition {
	for _, c := range list {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

// expectEvent waits for an event about an object of the World's.
func (w *World) expectEvent(name, reason string) {
	w.t.Helper()
	eventually(w.t, 10*time.Second, func() string {
		var list eventsv1.EventList
		if err := w.Client.List(context.Background(), &list, client.InNamespace(w.Namespace)); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Regarding.Name == name && e.Reason == reason && e.Type == "Warning" && e.Note != "" {
				return ""
			}
		}
		return fmt.Sprintf("no event %s about %s among %d", reason, name, len(list.Items))
	})
}
