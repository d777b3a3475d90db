// Package migrate turns Ingresses with the annotations of ingress-nginx into
// Gateway API objects and policies of Gatehouse, and gives an account of each
// thing an Ingress asks for: carried, carried with a difference, or not carried
// and what to do about it.
//
// cmd/gatehouse calls Migrate for `migrate`. It is pure, and asks spec and ingress
// for what they know of hosts and paths.
package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/ingress"
)

// Input is what is to be migrated.
type Input struct {
	Ingresses []*networkingv1.Ingress
	Services  []*corev1.Service    // those whose ports Ingresses name
	Gateway   types.NamespacedName // that everything is to be attached to
	Class     string               // its gatewayClassName
}

// Verdict is what became of one thing that an Ingress asks for.
type Verdict string

// The verdicts.
const (
	Carried    Verdict = "carried"
	Different  Verdict = "carried with a difference"
	NotCarried Verdict = "not carried"
)

// Entry is the account of one thing.
type Entry struct {
	Object  string  `json:"object"` // "Ingress shop/web"
	What    string  `json:"what"`   // an annotation, without its prefix, or a field
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text,omitempty"` // what the difference is, or why not and what to do
}

// String is the entry on one line.
func (e Entry) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s: %s: %s: %s", e.Object, e.What, e.Verdict, e.Text), ": ")
}

// Object is an object that was made.
type Object interface {
	metav1.Object
	runtime.Object
}

// Result is the objects, each after what it needs, and the account, by Ingress.
type Result struct {
	Objects []Object
	Account []Entry
}

// Complete says whether nothing was left behind.
func (r *Result) Complete() bool {
	return !slices.ContainsFunc(r.Account, func(e Entry) bool { return e.Verdict == NotCarried })
}

// migration is one Migrate.
type migration struct {
	in          Input
	services    map[types.NamespacedName]*corev1.Service
	canaries    map[place][]*canary
	listeners   map[string]listener // by host
	hosts       []string            // of listeners, in their order
	names       map[string]bool     // of objects: "HTTPRoute shop/orders"
	held        map[spot]*networkingv1.HTTPIngressPath
	fallbacks   map[string]*source // by host: whose spec.defaultBackend counts there
	hostwide    map[hostwide]*source
	expressions map[string]bool // the hosts whose paths ingress-nginx takes for regular expressions
	out         Result
}

// listener is the certificate of a host.
type listener struct {
	secret types.NamespacedName
	of     string // the Ingress that asks for it first
}

// place is a path of a host, which canaries share with what they are canaries of.
type place struct {
	namespace, host, path string
}

// Migrate migrates. It changes none of its input.
func Migrate(in Input) Result {
	m := &migration{
		in: in, services: map[types.NamespacedName]*corev1.Service{}, canaries: map[place][]*canary{}, listeners: map[string]listener{}, names: map[string]bool{},
		held: map[spot]*networkingv1.HTTPIngressPath{}, fallbacks: map[string]*source{}, hostwide: map[hostwide]*source{}, expressions: map[string]bool{},
	}
	for _, s := range in.Services {
		m.services[nameOf(s)] = s
	}
	sorted := slices.SortedFunc(slices.Values(in.Ingresses), func(a, b *networkingv1.Ingress) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var mains []*source
	for _, obj := range sorted {
		s := m.source(obj)
		m.secure(s)
		if s.get("canary") == "true" {
			m.canary(s)
		} else {
			mains = append(mains, s)
		}
	}
	m.settle(mains)
	var routes []Object
	for _, s := range mains {
		routes = append(routes, m.routes(s)...)
	}
	for _, list := range m.canaries {
		for _, c := range list {
			if c.used {
				c.of.carried("canary")
			} else {
				c.of.say("canary", NotCarried, "no other Ingress has path %s of host %q; nothing is made of it", c.path, c.host)
			}
		}
	}
	if len(sorted) > 0 {
		m.out.Objects = append(m.gateway(), routes...)
	}
	slices.SortStableFunc(m.out.Account, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.What, b.What))
	})
	m.out.Account = slices.Compact(m.out.Account)
	return m.out
}

// source is one Ingress with the annotations that nobody has looked at yet.
type source struct {
	*networkingv1.Ingress
	m       *migration
	left    map[string]string
	guarded bool // its annotations keep callers out
}

func (m *migration) source(obj *networkingv1.Ingress) *source {
	s := &source{Ingress: obj, m: m, left: map[string]string{}}
	for key, value := range obj.Annotations {
		if name, ours := strings.CutPrefix(key, ingress.Nginx); ours {
			s.left[name] = strings.TrimSpace(value)
		} else if text := foreign(key); text != "" {
			s.say(key, NotCarried, text, m.in.Gateway)
		}
	}
	return s
}

// foreign is what to do about an annotation that other programs read; "" where it
// is not known that one does.
func foreign(key string) string {
	of, _, _ := strings.Cut(key, "/")
	switch {
	case strings.HasSuffix(of, "cert-manager.io"), key == "kubernetes.io/tls-acme":
		return "who makes the certificates is asked of the Gateway; annotate Gateway %s with it"
	case of == "external-dns.alpha.kubernetes.io":
		return "names are made of routes and Gateways where external-dns has these among its sources; annotate Gateway %s, or the routes"
	case of == "kubernetes.io", of == "ingressclass.kubernetes.io", of == "gatehouse.dev":
		return ""
	case strings.Contains(of, "ingress"), slices.Contains([]string{"nginx.org", "nginx.com", "konghq.com", "haproxy.org", "projectcontour.io", "getambassador.io"}, of):
		return "another controller than ingress-nginx reads it; see whether it keeps callers out before Gateway %s serves"
	}
	return ""
}

// get reads an annotation, and leaves it to be accounted for.
func (s *source) get(name string) string { return s.left[name] }

// take reads an annotation that the caller accounts for.
func (s *source) take(name string) string {
	value := s.left[name]
	delete(s.left, name)
	return value
}

func (s *source) say(what string, v Verdict, format string, args ...any) {
	s.m.out.Account = append(s.m.out.Account, Entry{"Ingress " + s.Namespace + "/" + s.Name, what, v, fmt.Sprintf(format, args...)})
}

// carried accounts for annotations that mean the same as before.
func (s *source) carried(names ...string) {
	for _, name := range names {
		s.say(name, Carried, "")
	}
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func pointer[T any](v T) *T { return &v }

// The kinds that are made, as they are written out.
func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: kind}
}
