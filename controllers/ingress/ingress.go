// Package ingress turns Ingresses into the forms the graph takes: for each of
// their classes a GatewayClass and a Gateway with the ports 80 and 443, and for
// each Ingress an HTTPRoute per host it names. From there on they are resolved,
// compiled and served like any others.
//
// graph asks for it before every build. It reads the store and puts the forms
// into it, nowhere else; it is pure, and what did not change it does not make
// again. What is wrong with an Ingress, and with how it goes with others, comes
// back as Faults: an Ingress has no conditions to say it in.
package ingress

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Config is what a Translator knows beside the objects.
type Config struct {
	// Controller is the spec.controller of the IngressClasses that are ours; empty:
	// none are.
	Controller string
	// Gateways is the controllerName of the GatewayClasses that are ours.
	Gateways gatewayv1.GatewayController
	// Namespace is where the Gateways stand, and their Services.
	Namespace string
}

// Ingress is an Ingress of a class of ours.
type Ingress struct {
	Object  *networkingv1.Ingress
	Gateway types.NamespacedName // by which it is served
	Faults  []Fault              // in the spec's order
}

// Fault is something that is wrong with an Ingress.
type Fault struct {
	Reason string // for an Event
	Text   string // a sentence that names the field and the fix
	Status int    // what requests get that meet it; 0: it takes none
	Table  bool   // the table says so already, of the rule
}

// ListenerKey names a listener of one of the Gateways.
type ListenerKey struct {
	Gateway  types.NamespacedName
	Listener gatewayv1.SectionName
}

// Use is where an Ingress asks for a certificate.
type Use struct {
	Ingress types.NamespacedName
	Field   string // "spec.tls[0].secretName"
}

// Result is what became of the Ingresses of a store.
type Result struct {
	Ingresses []*Ingress // by namespace, then name
	// Certificates says for whom a listener shows its certificate.
	Certificates map[ListenerKey]Use
}

// Translator translates, and keeps what did not change. It belongs to one
// goroutine.
type Translator struct {
	config  Config
	store   *store.Store // what last was made of
	nodes   store.Memo[types.NamespacedName, *node]
	last    *Result
	of      []*node
	classes []*networkingv1.IngressClass
	shapes  map[*node]*shaped
}

// New returns a Translator that has translated nothing.
func New(config Config) *Translator { return &Translator{config: config} }

// Translate puts the forms of the Ingresses of a store into it. Ingresses that did
// not change give the same Result.
func (t *Translator) Translate(s *store.Store) *Result {
	if t.config.Controller == "" {
		return &Result{}
	}
	all := s.Read()
	classes := t.ours(all)
	var nodes []*node
	for _, obj := range all.Ingresses() {
		if n := t.nodes.Get(s, nameOf(obj), t.node); n != nil {
			nodes = append(nodes, n)
		}
	}
	t.nodes.Sweep()
	if t.store == s && slices.Equal(nodes, t.of) && slices.Equal(classes, t.classes) {
		return t.last
	}
	c := newClaims(t.config, nodes)
	out := &Result{Certificates: c.certificates()}
	var forms []metav1.Object
	before := t.shapes
	t.shapes = make(map[*node]*shaped, len(nodes))
	for _, n := range nodes {
		is := c.shape(n)
		if was := before[n]; was != nil && was.equal(is) {
			is = was
		} else {
			is.forms = t.config.routes(n, is)
			is.ingress = &Ingress{Object: n.object, Gateway: t.config.gateway(n.class), Faults: slices.Concat(n.faults, is.faults)}
		}
		t.shapes[n] = is
		out.Ingresses = append(out.Ingresses, is.ingress)
		for _, form := range is.forms {
			forms = append(forms, form)
		}
	}
	for _, class := range classes {
		if slices.ContainsFunc(nodes, func(n *node) bool { return n.class == class.Name }) {
			forms = append(forms, t.config.class(class), t.config.gatewayForm(class, c))
		}
	}
	s.Derive(forms)
	t.store, t.last, t.of, t.classes = s, out, nodes, classes
	return out
}

// ours returns the IngressClasses that are ours.
func (t *Translator) ours(r *store.Reader) (out []*networkingv1.IngressClass) {
	for _, class := range r.IngressClasses() {
		if class.Spec.Controller == t.config.Controller {
			out = append(out, class)
		}
	}
	return out
}

// classOf is the name of the class of an Ingress, if it is one of ours. The
// annotation, which is older, counts before the field; an Ingress with neither is
// of the class that is marked as the default.
func (t *Translator) classOf(r *store.Reader, obj *networkingv1.Ingress) (name string, ok bool) {
	name, named := obj.Annotations[classAnnotation]
	if !named && obj.Spec.IngressClassName != nil {
		name, named = *obj.Spec.IngressClassName, true
	}
	for _, class := range t.ours(r) {
		if named && class.Name == name || !named && class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			return class.Name, true
		}
	}
	return "", false
}

// classAnnotation is how Ingresses named their class before they had a
// field for it.
const classAnnotation = "kubernetes.io/ingress.class"

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// older orders Ingresses by age, then by namespace and name.
func older(a, b *node) int {
	x, y := a.object, b.object
	return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
}
