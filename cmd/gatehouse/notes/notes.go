// Package notes finds what is in order in manifests and was probably not meant: routes of
// Gateways that are not there, Services without addresses, certificates that have ended.
// An API server takes all of it, and in a cluster the rest may come later.
//
// cmd/gatehouse/command calls Of for `standalone` and `table`.
package notes

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// notes are what was found, and what it is found by.
type notes struct {
	names  map[string]bool // kind namespace/name of what there is
	secret map[string]*corev1.Secret
	slices map[string]bool                        // namespace/name of the Services that slices are of
	scopes map[gatewayv1.GatewayDefaultScope]bool // of default Gateways
	now    time.Time
	out    []manifests.Problem
}

// Of are the notes on objects. Missing addresses are
// told of only where some object has any: a cluster makes them, and they are in no repository.
func Of(objects []controllers.Object, now time.Time) []manifests.Problem {
	n := &notes{names: map[string]bool{}, secret: map[string]*corev1.Secret{}, slices: map[string]bool{}, scopes: map[gatewayv1.GatewayDefaultScope]bool{}, now: now}
	for _, o := range objects {
		name := o.GetNamespace() + "/" + o.GetName()
		n.names[string(controllers.KeyOf(o).Kind)+" "+name] = true
		switch o := o.(type) {
		case *corev1.Secret:
			n.secret[name] = o
		case *gatewayv1.Gateway:
			n.scopes[gatewayv1.GatewayDefaultScope(spec.DefaultScope(o))] = true
		case *discoveryv1.EndpointSlice:
			if of := o.Labels[discoveryv1.LabelServiceName]; of != "" {
				n.slices[o.Namespace+"/"+of] = true
			} else {
				n.note("EndpointSlice "+name, "metadata.labels", "without the label %s it is of no Service", discoveryv1.LabelServiceName)
				n.slices[""] = true
			}
		}
	}
	for _, o := range objects {
		n.object(o)
	}
	slices.SortFunc(n.out, func(a, b manifests.Problem) int { return strings.Compare(a.String(), b.String()) })
	return n.out
}

func (n *notes) note(object, field, format string, args ...any) {
	n.out = append(n.out, manifests.Problem{Object: object, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (n *notes) object(o controllers.Object) {
	switch o := o.(type) {
	case *gatewayv1.HTTPRoute:
		n.parents("HTTPRoute", o, &o.Spec.CommonRouteSpec)
		for _, rule := range o.Spec.Rules {
			for _, b := range rule.BackendRefs {
				n.backends(o.Namespace, b.BackendRef)
			}
		}
	case *gatewayv1.GRPCRoute:
		n.parents("GRPCRoute", o, &o.Spec.CommonRouteSpec)
		for _, rule := range o.Spec.Rules {
			for _, b := range rule.BackendRefs {
				n.backends(o.Namespace, b.BackendRef)
			}
		}
	case *gatewayv1.TLSRoute:
		n.parents("TLSRoute", o, &o.Spec.CommonRouteSpec)
		for _, rule := range o.Spec.Rules {
			n.backends(o.Namespace, rule.BackendRefs...)
		}
	case *gatewayv1.TCPRoute:
		n.parents("TCPRoute", o, &o.Spec.CommonRouteSpec)
		for _, rule := range o.Spec.Rules {
			n.backends(o.Namespace, rule.BackendRefs...)
		}
	case *gatewayv1.UDPRoute:
		n.parents("UDPRoute", o, &o.Spec.CommonRouteSpec)
		for _, rule := range o.Spec.Rules {
			n.backends(o.Namespace, rule.BackendRefs...)
		}
	case *gatewayv1.Gateway:
		if class := string(o.Spec.GatewayClassName); !n.names["GatewayClass /"+class] {
			n.note("Gateway "+o.Namespace+"/"+o.Name, "spec.gatewayClassName", "there is no GatewayClass %s here; it is not served", class)
		}
		n.certificates(o)
	case *discoveryv1.EndpointSlice:
		n.addresses(o)
	case *gatewayv1.BackendTLSPolicy:
		for i, ref := range o.Spec.TargetRefs {
			n.target("BackendTLSPolicy "+o.Namespace+"/"+o.Name, i, o.Namespace, ref.LocalPolicyTargetReference)
		}
	case *gatewayxv1alpha1.XBackendTrafficPolicy:
		for i, ref := range o.Spec.TargetRefs {
			n.target("XBackendTrafficPolicy "+o.Namespace+"/"+o.Name, i, o.Namespace, ref)
		}
	}
}

// addresses tells of those of a slice that nothing is sent to.
func (n *notes) addresses(o *discoveryv1.EndpointSlice) {
	object := "EndpointSlice " + o.Namespace + "/" + o.Name
	if o.AddressType == discoveryv1.AddressTypeFQDN {
		n.note(object, "addressType", "names are not looked up, so that nothing is sent there; write IP addresses, or an XBackend")
		return
	}
	for i, e := range o.Endpoints {
		for j, a := range e.Addresses {
			if _, err := netip.ParseAddr(a); err != nil {
				n.note(object, fmt.Sprintf("endpoints[%d].addresses[%d]", i, j), "%q is no IP address; nothing is sent there", a)
			}
		}
	}
}

// target tells of a policy of a Service that is not there: it has no Gateway either, in
// whose name its status could say so.
func (n *notes) target(object string, i int, namespace string, ref gatewayv1.LocalPolicyTargetReference) {
	if service := "Service " + namespace + "/" + string(ref.Name); ref.Group == "" && ref.Kind == "Service" && !n.names[service] {
		n.note(object, fmt.Sprintf("spec.targetRefs[%d]", i), "there is no %s here; it changes nothing there", service)
	}
}

// parents tells of a route that nothing is served of.
func (n *notes) parents(kind string, o controllers.Object, of *gatewayv1.CommonRouteSpec) {
	object := kind + " " + o.GetNamespace() + "/" + o.GetName()
	switch scope := of.UseDefaultGateways; {
	case len(of.ParentRefs) > 0 || scope != "" && n.scopes[scope]:
	case scope != "" && scope != gatewayv1.GatewayDefaultScopeNone:
		n.note(object, "spec.useDefaultGateways", "no Gateway here has spec.defaultScope %s; it is not served", scope)
	default:
		n.note(object, "spec.parentRefs", "it names no Gateway; it is not served")
	}
	for i, ref := range of.ParentRefs {
		field, of, namespace := fmt.Sprintf("spec.parentRefs[%d]", i), "Gateway", o.GetNamespace()
		if ref.Kind != nil {
			of = string(*ref.Kind)
		}
		if ref.Namespace != nil {
			namespace = string(*ref.Namespace)
		}
		switch {
		case of == "Service": // of a mesh
		case of != "Gateway" && of != "ListenerSet":
			n.note(object, field+".kind", "%s is no kind that takes routes; use Gateway or ListenerSet", of)
		case !n.names[of+" "+namespace+"/"+string(ref.Name)]:
			n.note(object, field, "there is no %s %s/%s here; it is not served there", of, namespace, ref.Name)
		}
	}
}

// certificates tells of those of a Gateway's own namespace that callers will not believe.
func (n *notes) certificates(gw *gatewayv1.Gateway) {
	for i, l := range gw.Spec.Listeners {
		if l.TLS == nil {
			continue
		}
		for j, ref := range l.TLS.CertificateRefs {
			s := n.secret[gw.Namespace+"/"+string(ref.Name)]
			if s == nil || ref.Namespace != nil && string(*ref.Namespace) != gw.Namespace {
				continue
			}
			block, _ := pem.Decode(s.Data[corev1.TLSCertKey])
			if block == nil {
				continue
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				continue
			}
			object, field := "Gateway "+gw.Namespace+"/"+gw.Name, fmt.Sprintf("spec.listeners[%d].tls.certificateRefs[%d]", i, j)
			if certificate.NotAfter.Before(n.now) {
				n.note(object, field, "the certificate of Secret %s/%s ended on %s; callers will refuse it", s.Namespace, s.Name, certificate.NotAfter.UTC().Format(time.DateOnly))
			}
			if l.Hostname != nil && len(l.TLS.CertificateRefs) == 1 && certificate.VerifyHostname(strings.Replace(string(*l.Hostname), "*", "any", 1)) != nil {
				n.note(object, field, "the certificate of Secret %s/%s is not for %s; it is for %s", s.Namespace, s.Name, *l.Hostname, strings.Join(certificate.DNSNames, ", "))
			}
		}
	}
}

// backends tells of Services that a rule sends to and that have no addresses.
func (n *notes) backends(namespace string, refs ...gatewayv1.BackendRef) {
	for _, ref := range refs {
		if ref.Kind != nil && *ref.Kind != "Service" || ref.Namespace != nil && string(*ref.Namespace) != namespace {
			continue
		}
		service := namespace + "/" + string(ref.Name)
		if len(n.slices) > 0 && !n.slices[service] && n.names["Service "+service] {
			n.slices[service] = true // one note is enough
			n.note("Service "+service, "", "no EndpointSlice of its namespace has the label %s: %s; requests for it are answered 503", discoveryv1.LabelServiceName, ref.Name)
		}
	}
}
