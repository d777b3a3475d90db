package golden

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// status prints what the objects' statuses must say, a condition a line.
func status(g *graph.Graph, policies *attach.Policies) string {
	var w strings.Builder
	conditions := func(of string, list []metav1.Condition) {
		for _, c := range list {
			fmt.Fprintf(&w, "%s %s=%s %s: %s\n", of, c.Type, c.Status, c.Reason, c.Message)
		}
	}
	for _, c := range g.Classes {
		if c.OfIngresses() {
			continue
		}
		conditions("GatewayClass "+c.Object.Name, c.Conditions)
	}
	for _, gw := range g.Gateways {
		if gw.OfIngresses() {
			continue
		}
		name := "Gateway " + gw.Object.Namespace + "/" + gw.Object.Name
		conditions(name, gw.Conditions)
		for _, l := range gw.Listeners {
			of := name + " listener " + string(l.Key.Listener)
			if l.Key.Set.Name != "" {
				of = "ListenerSet " + l.Key.Set.String() + " listener " + string(l.Key.Listener)
			}
			fmt.Fprintf(&w, "%s attachedRoutes=%d\n", of, g.Attached[l.Key])
			conditions(of, l.Conditions)
		}
		for _, set := range gw.Sets {
			conditions("ListenerSet "+set.Object.Namespace+"/"+set.Object.Name, set.Conditions)
		}
	}
	for _, in := range g.Ingresses {
		fmt.Fprintf(&w, "Ingress %s/%s served by %s\n", in.Object.Namespace, in.Object.Name, in.Gateway)
		for _, f := range in.Faults {
			fmt.Fprintf(&w, "Ingress %s/%s event %s: %s\n", in.Object.Namespace, in.Object.Name, f.Reason, f.Text)
		}
	}
	for _, r := range g.Routes {
		if r.OfIngress() {
			continue
		}
		for _, p := range r.Parents {
			conditions(r.Kind()+" "+r.Object.Namespace+"/"+r.Object.Name+" under "+p.Gateway.String(), p.Conditions)
		}
	}
	for _, e := range policies.Externals {
		for _, gw := range e.Gateways {
			conditions("XBackend "+e.Object.Namespace+"/"+e.Object.Name+" under Gateway "+gw.String(), e.Conditions)
		}
	}
	for _, p := range policies.All {
		for _, a := range p.Ancestors {
			under := "Gateway " + a.Gateway.String()
			if a.Missing.Kind != "" {
				under = a.Missing.Kind + " " + a.Missing.NamespacedName.String()
			}
			conditions(p.Key.Kind+" "+p.Key.NamespacedName.String()+" under "+under, a.Conditions)
		}
	}
	var affected []string
	for target, by := range policies.Affected {
		line := "affected " + target.Kind + " " + target.NamespacedName.String()
		if target.Section != "" {
			line += " " + string(target.Section)
		}
		for _, p := range by {
			line += ", " + p.Kind + " " + p.NamespacedName.String()
		}
		affected = append(affected, line+"\n")
	}
	for gateway, by := range policies.Unreported {
		affected = append(affected, fmt.Sprintf("unreported Gateway %s: %v\n", gateway, by))
	}
	slices.Sort(affected)
	return w.String() + strings.Join(affected, "")
}
