package status

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// spoil writes another status into the route than is ours to write, and tells w of it.
func (s *server) spoil(t *testing.T, w *Writer) *gatewayv1.HTTPRoute {
	t.Helper()
	r := s.route(t)
	r.Status.Parents = nil
	if err := s.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.writes = s.writes[:len(s.writes)-1] // that one does not count
	s.mu.Unlock()
	if w != nil {
		w.Saw(r)
	}
	return r
}

func TestRunMendsWhatOthersChange(t *testing.T) {
	s := newServer(t)
	w := newWriter(s)
	w.Saw(s.route(t)) // nobody leads yet
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	publish(w, edge())
	within := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not in 20 s: %s", what)
			}
		}
	}
	written := func() bool { return len(s.route(t).Status.Parents) == 1 }
	within("the status is written", written)
	for range 2 { // the second is mended a little later
		s.spoil(t, w)
		within("the status is mended", written)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// ready is a Writer that has written everything, as it is in Run.
func ready(t *testing.T, s *server) *Writer {
	t.Helper()
	w := newWriter(s)
	w.opts.Recheck, w.opts.Resync = 2*time.Second, 10*time.Minute
	pass(t, w, edge())
	w.changes.begin(true)
	return w
}

func TestMendLeavesAloneWhatIsWell(t *testing.T) {
	s := newServer(t)
	w := ready(t, s)
	before := s.count()
	see := func(o client.Object, key client.ObjectKey) {
		t.Helper()
		if err := s.Get(t.Context(), key, o); err != nil {
			t.Fatal(err)
		}
		w.Saw(o)
	}
	now := time.Now()
	see(&gatewayv1.Gateway{}, named("web", "gw")) // what we wrote comes back
	see(&gatewayv1.HTTPRoute{}, named("shop", "r"))
	w.mend(t.Context(), now)
	// Labels, and what other controllers say, are none of ours.
	r := s.route(t)
	r.Labels = map[string]string{"a": "b"}
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	see(&gatewayv1.HTTPRoute{}, named("shop", "r"))
	w.mend(t.Context(), now)
	// What is being changed gets the status of the Graph that it makes.
	r = s.spoil(t, nil)
	r.Generation++
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	see(&gatewayv1.HTTPRoute{}, named("shop", "r"))
	w.mend(t.Context(), now)
	if s.count() != before || len(w.mended) != 0 {
		t.Errorf("writes %v, want none", s.writes[before:])
	}
}

// A cache that has not seen our own write says that somebody else wrote.
func TestMendWaitsForItsCache(t *testing.T) {
	s := newServer(t)
	old := s.route(t)
	w := ready(t, s)
	before := s.count()
	w.opts.Client = behind{s, old}
	w.Saw(old)
	w.mend(t.Context(), time.Now())
	if s.count() != before || len(w.mended) != 0 {
		t.Errorf("writes %v, want none", s.writes[before:])
	}
}

// behind is a client that reads an old route.
type behind struct {
	*server
	old *gatewayv1.HTTPRoute
}

func (b behind) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	b.old.DeepCopyInto(obj.(*gatewayv1.HTTPRoute))
	return nil
}

// Two controllers that want different things of one status write it ever more rarely.
func TestMendDoesNotFight(t *testing.T) {
	s := newServer(t)
	w := ready(t, s)
	before := s.count()
	start := time.Now()
	const hour = 3600
	for second := range hour {
		if len(s.route(t).Status.Parents) != 0 {
			s.spoil(t, w)
		}
		w.mend(t.Context(), start.Add(time.Duration(second)*time.Second))
	}
	// At once, after 2 s, 4 s, 8 s and so on, up to every 10 minutes.
	if n := s.count() - before; n < 8 || n > 20 {
		t.Errorf("%d writes in an hour of fighting, want some 15", n)
	}
	w.forget(start.Add(hour * time.Second))
	if len(w.mended) != 1 {
		t.Errorf("%d statuses are in a fight, want 1", len(w.mended))
	}
	w.forget(start.Add(2 * hour * time.Second))
	if len(w.mended) != 0 {
		t.Errorf("%d statuses are in a fight when it is over", len(w.mended))
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"9", "10", true}, {"10", "9", false}, {"9", "9", false}, {"", "9", false}, {"9", "", false}, {"x", "y", false}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
