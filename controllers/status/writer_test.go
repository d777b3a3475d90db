package status

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a client with the objects of edge, which counts what is written and
// can be made to fail.
type server struct {
	client.Client
	mu     sync.Mutex
	writes []string
	fail   func(obj client.Object) error
}

func newServer(t *testing.T) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	g := edge()
	objects := []client.Object{
		g.graph.Classes[0].Object, g.graph.Gateways[0].Object, g.graph.Routes[0].Object,
		&v1alpha1.AuthPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p", Generation: 2}},
	}
	s := &server{}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceUpdate: s.update}).Build()
	return s
}

func (s *server) update(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(obj); err != nil {
			return err
		}
	}
	s.writes = append(s.writes, fmt.Sprintf("%T %s", obj, obj.GetName()))
	return c.SubResource(sub).Update(ctx, obj, opts...)
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

func (s *server) route(t *testing.T) *gatewayv1.HTTPRoute {
	t.Helper()
	var r gatewayv1.HTTPRoute
	if err := s.Get(t.Context(), named("shop", "r"), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func newWriter(s *server) *Writer {
	w := New(Options{
		Client: s, Controller: controller, Applied: func() Applied { return Applied{Generation: 1} }, Log: logr.Discard(),
		Rate: 1e6, Burst: 1e6, Settle: time.Millisecond, Recheck: 5 * time.Millisecond, Resync: time.Hour,
	})
	return w
}

func publish(w *Writer, p *picture) { w.Publish(p.graph, p.policies) }

// pass makes one pass, without Run.
func pass(t *testing.T, w *Writer, g *picture) {
	t.Helper()
	if w.written == nil {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.latest.Store(g)
	w.pass(t.Context(), g, w.opts.Applied())
}

func TestNothingIsWrittenTwice(t *testing.T) {
	s := newServer(t)
	g := edge()
	w := newWriter(s)
	pass(t, w, g)
	if s.count() != 4 {
		t.Fatalf("writes: %v, want the class, the Gateway, the route and the policy", s.writes)
	}
	pass(t, w, g)
	pass(t, w, edge())            // the same from other pointers
	pass(t, newWriter(s), edge()) // and by a leader that remembers nothing
	if s.count() != 4 {
		t.Errorf("writes: %v, want none after the first four", s.writes[4:])
	}
}

func TestTimeMovesWithTheStatusOnly(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	pass(t, w, edge())
	r := s.route(t)
	long := metav1.NewTime(time.Unix(1000, 0))
	for i := range r.Status.Parents[0].Conditions {
		r.Status.Parents[0].Conditions[i].LastTransitionTime = long
	}
	if err := s.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	g := edge()
	g.graph.Routes[0].Parents[0].Conditions[0].Message = "other words"
	g.graph.Routes[0].Parents[0].Conditions[1] = cond("ResolvedRefs", "False", "BackendNotFound")
	pass(t, w, g)
	for _, c := range s.route(t).Status.Parents[0].Conditions {
		if moved := !c.LastTransitionTime.Equal(&long); moved != (c.Type == "ResolvedRefs") {
			t.Errorf("%s: the time moved: %v", c.Type, moved)
		}
	}
}

func TestConflictIsReadAgain(t *testing.T) {
	s := newServer(t)
	foreign := gatewayv1.RouteParentStatus{ControllerName: "example.com/other", ParentRef: gatewayv1.ParentReference{Name: "gw"}, Conditions: []metav1.Condition{cond("Accepted", "True", "Accepted")}}
	conflicts := 0
	s.fail = func(obj client.Object) error {
		r, ok := obj.(*gatewayv1.HTTPRoute)
		if !ok || conflicts == 2 {
			return nil
		}
		conflicts++
		// Somebody else was faster.
		fresh := &gatewayv1.HTTPRoute{}
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(r), fresh); err != nil {
			return err
		}
		fresh.Status.Parents = []gatewayv1.RouteParentStatus{foreign}
		if err := s.Client.Update(t.Context(), fresh); err != nil {
			return err
		}
		return apierrors.NewConflict(schema.GroupResource{Resource: "httproutes"}, r.Name, nil)
	}
	w := newWriter(s)
	pass(t, w, edge())
	if len(w.failed) != 0 || conflicts != 2 {
		t.Errorf("%d failed after %d conflicts", len(w.failed), conflicts)
	}
	if got := s.route(t).Status.Parents; len(got) == 0 || got[len(got)-1].ControllerName != controller {
		t.Errorf("parents: %v", got)
	}
}

func TestANewerObjectIsLeftAlone(t *testing.T) {
	s := newServer(t)
	r := s.route(t)
	r.Generation = 3
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	pass(t, newWriter(s), edge())
	if got := s.route(t).Status.Parents; len(got) != 0 {
		t.Errorf("parents: %v, want none", got)
	}
}

func TestEntriesGoWithTheirReason(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	pass(t, w, edge())
	g := edge()
	g.graph.Routes = nil // it names no Gateway of ours any more, and its stored status was not seen to have our entry
	pass(t, w, g)
	if got := s.route(t).Status.Parents; len(got) != 0 {
		t.Errorf("parents: %v, want none", got)
	}
	// A leader that remembers nothing is told by the graph.
	pass(t, w, edge())
	g.graph.Stale = []graph.ObjectKey{{Kind: "HTTPRoute", NamespacedName: named("shop", "r")}}
	pass(t, newWriter(s), g)
	if got := s.route(t).Status.Parents; len(got) != 0 {
		t.Errorf("parents: %v, want none", got)
	}
}

func TestEventsOncePerChange(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	var events []string
	w.opts.Event = func(about client.Object, reason, message string) {
		events = append(events, about.GetName()+" "+reason+" "+message)
	}
	f := func(c metav1.Condition, want string) {
		t.Helper()
		events = nil
		g := edge()
		g.policies.All = nil
		g.graph.Routes[0].Parents[0].Conditions[0] = c
		pass(t, w, g)
		pass(t, w, g)
		if got := strings.Join(events, ", "); got != want {
			t.Errorf("events %q, want %q", got, want)
		}
	}
	f(cond("Accepted", "True", "Accepted"), "")
	f(cond("Accepted", "False", "NoMatchingParent"), "r NoMatchingParent m")
	f(cond("Accepted", "False", "NotAllowedByListeners"), "r NotAllowedByListeners m")
	long := cond("Accepted", "False", "UnsupportedValue")
	long.Message = strings.Repeat("m", 2*maxNote) // an API server takes no such Event
	f(long, "r UnsupportedValue "+strings.Repeat("m", maxNote-4)+" ...")
	f(cond("Accepted", "False", "NotAllowedByListeners"), "r NotAllowedByListeners m")
	also := func(c metav1.Condition, want string) {
		t.Helper()
		events = nil
		g := edge()
		g.policies.All = nil
		g.graph.Routes[0].Parents[0].Conditions = []metav1.Condition{cond("Accepted", "False", "NotAllowedByListeners"), c}
		before := s.count()
		pass(t, w, g)
		pass(t, w, g)
		pass(t, newWriter(s), g) // the next leader, which knows of none
		if got := strings.Join(events, ", "); s.count() != before+1 || got != want {
			t.Errorf("%s became %s: %d writes, events %q, want one and %q", c.Type, c.Status, s.count()-before, got, want)
		}
	}
	also(cond("ResolvedRefs", "False", "BackendNotFound"), "r BackendNotFound m")
	also(cond("ResolvedRefs", "True", "ResolvedRefs"), "")
	also(cond("PartiallyInvalid", "True", "UnsupportedValue"), "r UnsupportedValue m")
	also(cond("Programmed", "False", "Invalid"), "")
	f(cond("Accepted", "True", "Accepted"), "")
}

// A listener without its port is told of, and one that is not served yet is not.
func TestEventsOfListeners(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	var applied Applied
	var events []string
	w.opts.Applied = func() Applied { return applied }
	w.opts.Event = func(about client.Object, reason, message string) {
		events = append(events, about.GetName()+" "+reason+" "+message)
	}
	g := edge()
	g.policies.All = nil
	f := func(a Applied, want string) {
		t.Helper()
		applied, events = a, nil
		pass(t, w, g)
		pass(t, w, g)
		if got := strings.Join(events, ", "); got != want {
			t.Errorf("events %q, want %q", got, want)
		}
	}
	f(Applied{}, "")
	taken := Applied{Generation: 1, BindErrors: map[string]BindError{"web/gw/b": {Text: "in use", Port: true}}}
	f(taken, "gw PortUnavailable in use")
	f(Applied{Generation: 1}, "")
	f(Applied{Generation: 1, BindErrors: map[string]BindError{"web/gw/b": {Text: "no certificate"}}}, "")
	f(taken, "gw PortUnavailable in use")
}

// A policy whose issuer's keys cannot be fetched says so as long as that is so.
func TestKeySetsThatAreMissing(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	var applied Applied
	var events []string
	w.opts.Applied = func() Applied { return applied }
	w.opts.Event = func(about client.Object, reason, message string) {
		if reason != string(gatewayv1.PolicyReasonTargetNotFound) { // of another target
			events = append(events, about.GetName()+" "+reason+" "+message)
		}
	}
	uri := "https://issuer.example/keys"
	g := edge()
	g.policies.All[0].Object = &v1alpha1.AuthPolicy{Spec: v1alpha1.AuthPolicySpec{Rules: &v1alpha1.AuthRules{Authentication: map[string]v1alpha1.AuthenticationMethod{
		"at":     {JWT: &v1alpha1.JWTAuthentication{Issuer: "a", JWKS: &v1alpha1.JWKSSource{URI: &uri}}},
		"beside": {JWT: &v1alpha1.JWTAuthentication{Issuer: "b", JWKS: &v1alpha1.JWKSSource{BackendRef: &v1alpha1.JWKSBackend{ServicePort: v1alpha1.ServicePort{Name: "idp", Port: 80}, Path: "/keys"}}}},
		"found":  {JWT: &v1alpha1.JWTAuthentication{Issuer: "https://c.example"}},
		"people": {OIDC: &v1alpha1.OIDCAuthentication{Issuer: "https://d.example"}},
		"secret": {JWT: &v1alpha1.JWTAuthentication{Issuer: "https://d.example", SecretRef: &v1alpha1.SecretReference{Name: "s"}}},
	}}}}
	f := func(sets map[string]string, want string, lacking ...string) {
		t.Helper()
		before := applied
		applied, events = Applied{Generation: 1, KeySets: sets}, nil
		if sameApplied(before, applied) {
			t.Error("the writer takes no notice")
		}
		pass(t, w, g)
		pass(t, w, g)
		p := &v1alpha1.AuthPolicy{}
		if err := s.Get(t.Context(), named("shop", "p"), p); err != nil {
			t.Fatal(err)
		}
		c := p.Status.Ancestors[0].Conditions[1]
		if got := string(c.Status) + " " + c.Reason; got != want || (len(lacking) > 0) != (len(events) == 1) {
			t.Errorf("%v: %s %s, events %q, want %s", sets, got, c.Message, events, want)
		}
		for _, part := range lacking {
			if !strings.Contains(c.Message, part) || !strings.Contains(events[0], "p KeySetUnavailable") {
				t.Errorf("%q is not in %s; events %q", part, c.Message, events)
			}
		}
	}
	f(nil, "True Programmed")
	f(map[string]string{"uri " + uri: uri + " answered 404"}, "False KeySetUnavailable", "authentication/at: the issuer's keys cannot be fetched: "+uri+" answered 404; mend", "otherwise m")
	f(map[string]string{"uri " + uri: uri + " answered 500"}, "False KeySetUnavailable", "answered 500")
	f(map[string]string{"uri https://else.example": "x", "Service shop/idp:8080/keys": "x", "Service shop/idp:80/other": "x"}, "True Programmed")
	f(map[string]string{"Service shop/idp:80 tls-abc/keys": "shut"}, "False KeySetUnavailable", "authentication/beside: the issuer's keys cannot be fetched: shut; mend")
	f(map[string]string{"Service shop/idp:80/keys": "s", "discovery https://c.example": "c", "discovery https://d.example": "d"}, "False KeySetUnavailable",
		"authentication/beside: the issuer's keys cannot be fetched: s; authentication/found: the issuer's keys cannot be fetched: c; authentication/people: the issuer's keys cannot be fetched: d; mend")
	f(nil, "True Programmed")
}

func TestEventsOfEveryRoute(t *testing.T) {
	w := newWriter(newServer(t))
	d := Desired{Parents: []gatewayv1.RouteParentStatus{{
		ParentRef: gatewayv1.ParentReference{Name: "gw"}, ControllerName: controller, Conditions: []metav1.Condition{cond("Accepted", "False", "NoMatchingParent")},
	}}}
	for _, kind := range []string{kindRoute, kindGRPC, kindTLS, kindTCP, kindUDP} {
		var events []string
		w.opts.Event = func(_ client.Object, reason, _ string) { events = append(events, reason) }
		before, after := empty(kind), empty(kind)
		w.merge(after, d)
		w.tell(before, after)
		if len(events) != 1 {
			t.Errorf("a %s that is not accepted: events %q, want one", kind, events)
		}
	}
}

func TestRunNoticesWhatTheProxyApplied(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	var mu sync.Mutex
	applied := Applied{Generation: 1}
	w.opts.Applied = func() Applied {
		mu.Lock()
		defer mu.Unlock()
		return applied
	}
	programmed := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			var gw gatewayv1.Gateway
			if err := s.Get(t.Context(), named("web", "gw"), &gw); err != nil {
				t.Fatal(err)
			}
			if i := indexOf(gw.Status.Conditions, "Programmed"); i >= 0 && string(gw.Status.Conditions[i].Status) == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("conditions %v, want Programmed=%s", gw.Status.Conditions, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	publish(w, edge())
	programmed("True")
	mu.Lock()
	applied.BindErrors = map[string]BindError{"web/gw/a": {Text: "in use"}, "web/gw/b": {Text: "in use"}}
	mu.Unlock()
	programmed("False")
	mu.Lock()
	applied.BindErrors = nil
	mu.Unlock()
	programmed("True")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunTriesAgainAndEnds(t *testing.T) {
	s := newServer(t)
	down := true
	s.fail = func(client.Object) error {
		if down {
			return apierrors.NewServiceUnavailable("down")
		}
		return nil
	}
	w := newWriter(s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	publish(w, edge())
	publish(w, edge())
	time.Sleep(20 * time.Millisecond)
	s.mu.Lock()
	down = false
	s.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); s.count() < 4; {
		if time.Now().After(deadline) {
			t.Fatalf("writes: %v, want 4", s.writes)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A route that is deleted and made again at once gets its status, although the
// one before it had the same.
func TestAnotherOfTheSameNameIsWritten(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	pass(t, w, edge())
	if err := s.Delete(t.Context(), s.route(t)); err != nil {
		t.Fatal(err)
	}
	g := edge()
	again := g.graph.Routes[0].Object
	again.UID = "again"
	if err := s.Create(t.Context(), again.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	pass(t, w, g)
	if got := s.route(t); got.UID != "again" || len(got.Status.Parents) != 1 {
		t.Errorf("route %s has %d parents in its status, want 1", got.UID, len(got.Status.Parents))
	}
}
