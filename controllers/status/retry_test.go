package status

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (s *server) written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// What the API server refuses again and again is tried ever later.
func TestRunTriesAgainEverLater(t *testing.T) {
	s := newServer(t)
	tries := 0
	s.fail = func(client.Object) error {
		tries++
		return apierrors.NewForbidden(schema.GroupResource{Resource: "httproutes"}, "r", nil)
	}
	w := newWriter(s)
	w.opts.Recheck = time.Millisecond
	w.opts.Longest = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	publish(w, edge())
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	const objects = 4
	if passes := tries / objects; passes < 3 || passes > 12 {
		t.Errorf("%d passes in 300 ms, want one after 1, 2, 4, 8 ms and so on", passes)
	}
}

// What is refused waits for its turn, however often something else changes.
func TestRefusedRestsWhileOthersChange(t *testing.T) {
	s := newServer(t)
	refused := 0
	s.fail = func(obj client.Object) error {
		if obj.GetName() != "r" {
			return nil
		}
		refused++
		return apierrors.NewForbidden(schema.GroupResource{Resource: "httproutes"}, "r", nil)
	}
	w := newWriter(s)
	w.opts.Recheck = time.Hour
	for i := range 10 {
		g := edge()
		g.graph.Gateways[0].Conditions[0].Message = fmt.Sprint(i)
		pass(t, w, g)
	}
	if refused != 1 || s.count() != 12 {
		t.Errorf("the route was tried %d times, want 1; %d writes, want the class, the policy and ten of the Gateway: %v", refused, s.count(), s.writes)
	}
	g := edge()
	g.graph.Routes[0].Parents[0].Conditions[0].Message = "other words"
	if pass(t, w, g); refused != 2 {
		t.Errorf("a status that says something else was tried %d times, want at once", refused-1)
	}
	g = edge()
	g.graph.Routes = nil
	if pass(t, w, g); len(w.failed) != 0 {
		t.Errorf("what is gone is still to be tried: %v", w.failed)
	}
}

// Where every answer takes longer than a pass goes on, what changes all the time
// does not keep the rest from being written.
func TestSlowAnswersLeaveNothingOut(t *testing.T) {
	s := newServer(t)
	s.fail = func(client.Object) error {
		s.mu.Unlock()
		defer s.mu.Lock()
		time.Sleep(yield + 50*time.Millisecond)
		return nil
	}
	w := newWriter(s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	changes, stop := make(chan struct{}), make(chan struct{})
	go func() { // the Gateway
		defer close(changes)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				g := edge()
				g.graph.Gateways[0].Conditions[0].Message = fmt.Sprint(i)
				publish(w, g)
			}
		}
	}()
	time.Sleep(6 * yield)
	close(stop)
	<-changes
	written := strings.Join(s.written(), ", ")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(written, "HTTPRoute r") || !strings.Contains(written, "AuthPolicy p") {
		t.Errorf("written while the Gateway changed: %s; want the route and the policy too", written)
	}
}

// What is refused stays as it was written when everything is compared anew, whoever touches
// the object then.
func TestRefusedOutlivesAResync(t *testing.T) {
	s := newServer(t)
	tries := 0
	s.fail = func(obj client.Object) error {
		if strings.Contains(fmt.Sprintf("%+v", obj), "refused") {
			tries++
			return apierrors.NewForbidden(schema.GroupResource{}, obj.GetName(), nil)
		}
		return nil
	}
	within := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not in 20 s: %s", what)
			}
		}
	}
	w := newWriter(s)
	w.opts.Recheck, w.opts.Resync = time.Hour, 20*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	publish(w, edge())
	within("all is written", func() bool { return s.count() == 4 })
	g := edge()
	g.graph.Gateways[0].Conditions[0].Message = "refused"
	g.graph.Routes[0].Parents[0].Conditions[0].Message = "refused"
	publish(w, g)
	within("both are refused", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return tries == 2
	})
	time.Sleep(100 * time.Millisecond) // several times over
	for _, o := range []client.Object{&gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "gw"}}, s.route(t)} {
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		o.SetLabels(map[string]string{"touched": "yes"})
		if err := s.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.Saw(o)
	}
	time.Sleep(100 * time.Millisecond)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := len(s.route(t).Status.Parents); n != 1 || s.count() != 4 {
		t.Errorf("the route has %d entries, want 1; writes: %v, want the first four", n, s.written())
	}
}
