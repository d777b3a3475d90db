package golden

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/provision"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// provisioned is what is made for the Gateways of a cluster whose one gatehouse
// pod is ready, and whose load balancer gives every Service an address. A file
// whose name begins with "services-" is about this.
func (c config) provisioned(all []*manifests.Manifest) (made []*manifests.Manifest) {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.Status.Phase, pod.Status.PodIPs = "gatehouse-0", "gatehouse-system", corev1.PodRunning, []corev1.PodIP{{IP: "10.0.0.1"}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	in := provision.Input{Controller: controller, Pods: []*corev1.Pod{pod}}
	s := store.New()
	for _, m := range all {
		s.Apply(m.Object)
		if service, ok := m.Object.(*corev1.Service); ok && service.Labels[store.ManagedBy] == store.Manager {
			in.Services = append(in.Services, service)
		}
	}
	for _, gw := range c.graphs().Build(s).Gateways {
		if gw.Service != nil { // one that is there, whoever's it is
			if other := s.Read().Service(gw.Service.Name); other != nil && !slices.Contains(in.Services, other) {
				in.Services = append(in.Services, other)
			}
		}
		in.Gateways = append(in.Gateways, gw)
	}
	plan := provision.Make(in)
	for _, o := range slices.Concat(plan.Create, plan.Update) {
		switch o := o.(type) {
		case *corev1.Service:
			o.APIVersion, o.Kind = "v1", "Service"
			if o.Spec.Type == corev1.ServiceTypeLoadBalancer {
				o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.80"}}
			}
			made = append(made, &manifests.Manifest{Object: o})
		case *discoveryv1.EndpointSlice:
			o.APIVersion, o.Kind = "discovery.k8s.io/v1", "EndpointSlice"
			made = append(made, &manifests.Manifest{Object: o})
		}
	}
	return made
}

// servicesText writes Services and EndpointSlices, the spec of the former in full.
func servicesText(made []*manifests.Manifest) string {
	var w strings.Builder
	for _, m := range made {
		fmt.Fprintf(&w, "%s\n", m.Name())
		attributes := func(what string, all map[string]string) {
			for _, k := range slices.Sorted(maps.Keys(all)) {
				fmt.Fprintf(&w, "  %s %s=%s\n", what, k, all[k])
			}
		}
		attributes("label", m.Object.GetLabels())
		attributes("annotation", m.Object.GetAnnotations())
		switch o := m.Object.(type) {
		case *corev1.Service:
			spec := o.Spec.DeepCopy()
			spec.Ports = nil
			text, _ := yaml.Marshal(spec) // a spec can be marshalled
			for line := range strings.Lines(string(text)) {
				fmt.Fprintf(&w, "  %s", line)
			}
			for i := range o.Spec.Ports {
				_, target := graph.TargetPort(&o.Spec.Ports[i])
				fmt.Fprintf(&w, "  port %s %d -> %d", o.Spec.Ports[i].Name, o.Spec.Ports[i].Port, target)
				if o.Spec.Ports[i].NodePort != 0 {
					fmt.Fprintf(&w, ", node port %d", o.Spec.Ports[i].NodePort)
				}
				w.WriteByte('\n')
			}
		case *discoveryv1.EndpointSlice:
			for _, p := range o.Ports {
				fmt.Fprintf(&w, "  port %s %d\n", *p.Name, *p.Port)
			}
			for _, e := range o.Endpoints {
				fmt.Fprintf(&w, "  endpoint %s\n", strings.Join(e.Addresses, " "))
			}
		}
	}
	return w.String()
}
