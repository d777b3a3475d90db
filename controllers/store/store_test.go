package store

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func route(name string, hosts ...gatewayv1.Hostname) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{ObjectMeta: meta("shop", name), Spec: gatewayv1.HTTPRouteSpec{Hostnames: hosts}}
}

func secret(namespace, name, value string, set map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: meta(namespace, name), Data: map[string][]byte{"k": []byte(value)}}
	s.Labels = set
	return s
}

func named(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func TestApplySaysWhatMatters(t *testing.T) {
	with := func(r *gatewayv1.HTTPRoute, edit func(*gatewayv1.HTTPRoute)) *gatewayv1.HTTPRoute {
		edit(r)
		return r
	}
	f := func(name string, before, after metav1.Object, want bool) {
		t.Helper()
		s := New()
		if !s.Apply(before) {
			t.Errorf("%s: the first Apply changed nothing", name)
		}
		clock := s.Clock()
		if got := s.Apply(after); got != want {
			t.Errorf("%s: Apply = %v, want %v", name, got, want)
		}
		if moved := s.Clock() != clock; moved != want {
			t.Errorf("%s: the clock moved: %v, want %v", name, moved, want)
		}
	}
	f("the same spec", route("a", "x"), route("a", "x"), false)
	f("another spec", route("a", "x"), route("a", "y"), true)
	f("another object", route("a", "x"), route("b", "x"), true)
	f("status only", route("a", "x"), with(route("a", "x"), func(r *gatewayv1.HTTPRoute) {
		r.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: "c"}}
	}), false)
	f("labels of a route", route("a", "x"), with(route("a", "x"), func(r *gatewayv1.HTTPRoute) { r.Labels = map[string]string{"a": "b"} }), false)
	f("generation", route("a", "x"), with(route("a", "x"), func(r *gatewayv1.HTTPRoute) { r.Generation = 2 }), true)
	f("age", route("a", "x"), with(route("a", "x"), func(r *gatewayv1.HTTPRoute) {
		r.CreationTimestamp = metav1.NewTime(time.Unix(1, 0))
	}), true)
	f("made anew", route("a", "x"), with(route("a", "x"), func(r *gatewayv1.HTTPRoute) { r.UID = "2" }), true)
	f("secret data", secret("a", "s", "1", nil), secret("a", "s", "2", nil), true)
	f("secret labels", secret("a", "s", "1", nil), secret("a", "s", "1", map[string]string{"a": "b"}), true)
	f("secret unchanged", secret("a", "s", "1", nil), secret("a", "s", "1", nil), false)
	f("namespace labels", &corev1.Namespace{ObjectMeta: meta("", "a")},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"a": "b"}}}, true)
	f("service ports", &corev1.Service{ObjectMeta: meta("a", "s")},
		&corev1.Service{ObjectMeta: meta("a", "s"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}, true)
	f("service selector", &corev1.Service{ObjectMeta: meta("a", "s")},
		&corev1.Service{ObjectMeta: meta("a", "s"), Spec: corev1.ServiceSpec{Selector: map[string]string{"a": "b"}}}, false)
}

func TestApplyRefusesUnknownKinds(t *testing.T) {
	s := New()
	if s.Apply(&corev1.Pod{ObjectMeta: meta("a", "p")}) || s.Delete("Pod", named("a", "p")) || s.Clock() != 0 {
		t.Error("a Pod was taken")
	}
}

func TestDeleteForgets(t *testing.T) {
	s := New()
	s.Apply(route("a"))
	if !s.Delete(HTTPRoute, named("shop", "a")) || s.Delete(HTTPRoute, named("shop", "a")) {
		t.Error("Delete must be true once")
	}
	if r := s.Read(); r.HTTPRoute(named("shop", "a")) != nil || len(r.HTTPRoutes()) != 0 {
		t.Error("the route is still there")
	}
	if len(s.routes.index) != 0 || len(s.routes.objects) != 0 {
		t.Error("the route left a trace")
	}
}

func TestListsAreSorted(t *testing.T) {
	s := New()
	for _, name := range []string{"c", "a", "b"} {
		s.Apply(route(name))
	}
	before := s.Read().HTTPRoutes()
	s.Delete(HTTPRoute, named("shop", "b"))
	s.Apply(route("0"))
	f := func(list []*gatewayv1.HTTPRoute, want string) {
		t.Helper()
		got := ""
		for _, r := range list {
			got += r.Name
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(s.Read().HTTPRoutes(), "0ac")
	f(before, "abc") // what a reader was given does not change under it
}

func TestReaderIsFreshUntilWhatItReadChanges(t *testing.T) {
	f := func(name string, read func(*Reader), change func(*Store), want bool) {
		t.Helper()
		s := New()
		s.Apply(route("a"))
		s.Apply(secret("x", "gold", "1", map[string]string{"tier": "gold", "on": "yes"}))
		s.Apply(secret("x", "tin", "1", map[string]string{"tier": "tin"}))
		r := s.Read()
		read(r)
		change(s)
		if got := r.Fresh(); got != want {
			t.Errorf("%s: Fresh = %v, want %v", name, got, want)
		}
		if got := r.Fresh(); got != want {
			t.Errorf("%s: Fresh = %v the second time, want %v", name, got, want)
		}
	}
	selecting := func(selector string) func(*Reader) {
		parsed, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		return func(r *Reader) { r.Secrets("x", parsed) }
	}
	one := func(r *Reader) { r.HTTPRoute(named("shop", "a")) }
	none := func(r *Reader) { r.HTTPRoute(named("shop", "b")) }
	all := func(r *Reader) { r.HTTPRoutes() }
	f("nothing read", func(*Reader) {}, func(s *Store) { s.Apply(route("a", "h")) }, true)
	f("the object changed", one, func(s *Store) { s.Apply(route("a", "h")) }, false)
	f("the object went", one, func(s *Store) { s.Delete(HTTPRoute, named("shop", "a")) }, false)
	f("another object changed", one, func(s *Store) { s.Apply(route("b")) }, true)
	f("a missing object came", none, func(s *Store) { s.Apply(route("b")) }, false)
	f("a missing object came and went", none, func(s *Store) {
		s.Apply(route("b"))
		s.Delete(HTTPRoute, named("shop", "b"))
	}, true)
	f("gone and back", one, func(s *Store) {
		s.Delete(HTTPRoute, named("shop", "a"))
		s.Apply(route("a"))
	}, false)
	f("a list grew", all, func(s *Store) { s.Apply(route("b")) }, false)
	f("a member changed", all, func(s *Store) { s.Apply(route("a", "h")) }, false)
	f("another kind changed", all, func(s *Store) { s.Apply(secret("y", "s", "", nil)) }, true)
	f("a selected secret changed", selecting("tier=gold"), func(s *Store) {
		s.Apply(secret("x", "gold", "2", map[string]string{"tier": "gold"}))
	}, false)
	f("a selected secret lost its label", selecting("tier=gold"), func(s *Store) { s.Apply(secret("x", "gold", "1", nil)) }, false)
	f("a secret gained the label", selecting("tier=gold"), func(s *Store) {
		s.Apply(secret("x", "tin", "1", map[string]string{"tier": "gold"}))
	}, false)
	f("a secret of another label changed", selecting("tier=gold"), func(s *Store) {
		s.Apply(secret("x", "tin", "2", map[string]string{"tier": "tin"}))
	}, true)
	f("a secret of another namespace changed", selecting("tier"), func(s *Store) {
		s.Apply(secret("y", "s", "2", map[string]string{"tier": "tin"}))
	}, true)
	f("any secret of the namespace", selecting("tier"), func(s *Store) { s.Apply(secret("x", "s", "2", nil)) }, false)
}

func TestSecretsSelects(t *testing.T) {
	s := New()
	s.Apply(secret("x", "a", "1", map[string]string{"tier": "gold", "on": "yes"}))
	s.Apply(secret("x", "b", "1", map[string]string{"tier": "gold"}))
	s.Apply(secret("y", "c", "1", map[string]string{"tier": "gold"}))
	f := func(selector, want string) {
		t.Helper()
		parsed, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, secret := range s.Read().Secrets("x", parsed) {
			got += secret.Name
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", selector, got, want)
		}
	}
	f("tier=gold", "ab")
	f("tier=gold,on=yes", "a")
	f("on", "a")
	f("!on", "b")
	f("tier in (gold, tin)", "ab")
	f("tier=tin", "")
}

func TestPoliciesByTarget(t *testing.T) {
	policy := func(name string, refs ...gatewayv1.LocalPolicyTargetReferenceWithSectionName) *gatewayv1.BackendTLSPolicy {
		p := &gatewayv1.BackendTLSPolicy{ObjectMeta: meta("shop", name)}
		p.Spec.TargetRefs = refs
		return p
	}
	ref := func(name gatewayv1.ObjectName, section gatewayv1.SectionName) gatewayv1.LocalPolicyTargetReferenceWithSectionName {
		r := gatewayv1.LocalPolicyTargetReferenceWithSectionName{SectionName: &section}
		r.Kind, r.Name = "Service", name
		return r
	}
	s := New()
	s.Apply(policy("p", ref("a", "one"), ref("a", "two")))
	s.Apply(policy("q", ref("b", "")))
	f := func(on, want string) {
		t.Helper()
		got := ""
		for _, p := range s.Read().BackendTLSPoliciesOn(named("shop", on)) {
			got += p.Name
		}
		if got != want {
			t.Errorf("on %s: got %q, want %q", on, got, want)
		}
	}
	f("a", "p")
	f("b", "q")
	s.Apply(policy("p", ref("b", "")))
	f("a", "")
	f("b", "pq")
	s.Delete(BackendTLSPolicy, named("shop", "p"))
	f("b", "q")
}

func TestGrantsOfBothVersions(t *testing.T) {
	s := New()
	s.Apply(&gatewayv1.ReferenceGrant{ObjectMeta: meta("x", "a")})
	s.Apply(&gatewayv1beta1.ReferenceGrant{ObjectMeta: meta("x", "b")})
	if got := len(s.Read().ReferenceGrants("x")); got != 2 {
		t.Errorf("got %d grants, want 2", got)
	}
}

// An object that was deleted and made again in one breath is another object.
func TestAnotherOfTheSameName(t *testing.T) {
	s := New()
	route := &gatewayv1.HTTPRoute{}
	route.Namespace, route.Name, route.UID = "shop", "orders", "1"
	again := route.DeepCopy()
	again.UID = "2"
	if !s.Apply(route) || s.Apply(route.DeepCopy()) || !s.Apply(again) {
		t.Error("want a change, none, and a change")
	}
}
