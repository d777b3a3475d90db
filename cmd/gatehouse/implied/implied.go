// Package implied makes the objects that manifests count on and seldom hold: the Namespaces they
// live in, without which an API server would not have taken them, and the classes that an installation brings.
//
// cmd/gatehouse/command calls By for the commands that read manifests.
package implied

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers"
)

// Class is the name of the GatewayClass and of the IngressClass that the chart and config/default make.
const Class = "gatehouse"

// By are the objects that others imply and that are not among them. gateways and ingresses are the
// names of the controllers in the classes; an empty one implies none.
func By(objects []controllers.Object, gateways, ingresses string) (made []controllers.Object) {
	have := map[controllers.ObjectKey]bool{}
	for _, o := range objects {
		have[controllers.KeyOf(o)] = true
	}
	add := func(o controllers.Object) {
		if key := controllers.KeyOf(o); !have[key] {
			have[key] = true
			made = append(made, o)
		}
	}
	for _, o := range objects {
		if name := o.GetNamespace(); name != "" {
			n := &corev1.Namespace{}
			n.Name, n.Labels = name, map[string]string{corev1.LabelMetadataName: name}
			add(n)
		}
		switch o := o.(type) {
		case *gatewayv1.Gateway:
			if o.Spec.GatewayClassName == Class && gateways != "" {
				c := &gatewayv1.GatewayClass{Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(gateways)}}
				c.Name = Class
				add(c)
			}
		case *networkingv1.Ingress:
			if name := o.Spec.IngressClassName; name != nil && *name == Class && ingresses != "" {
				c := &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: ingresses}}
				c.Name = Class
				add(c)
			}
		}
	}
	return made
}
