package provision

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// quarrel is a server with somebody in it who has other ideas.
type quarrel struct {
	*server
	told func(client.Object) // the Writer's Saw

	mu     sync.Mutex
	answer func(kind string) error // to a write
	writes []time.Time
	events []string
}

func (q *quarrel) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	return q.take(o)
}

func (q *quarrel) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	return q.take(o)
}

func (q *quarrel) take(o client.Object) error {
	q.mu.Lock()
	q.writes = append(q.writes, time.Now())
	err := q.answer(keyOf(o, false).kind)
	q.mu.Unlock()
	if err != nil {
		return err
	}
	_ = q.write(o) // it never fails
	q.told(o)
	return nil
}

// answers is how writes are answered from now on.
func (q *quarrel) answers(how func(kind string) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answer = how
}

// lead makes a slice lead to an address, as another leader would write it.
func (q *quarrel) lead(name, address string) {
	q.server.mu.Lock()
	defer q.server.mu.Unlock()
	s := q.slices[name]
	s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}}}
	q.slices[name] = s
	q.told(&s)
}

// since is how many writes there were since a moment.
func (q *quarrel) since(then time.Time) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, at := range q.writes {
		if !at.Before(then) {
			n++
		}
	}
	return n
}

// newQuarrel runs a Writer for one Gateway, which knows its pod.
func newQuarrel(t *testing.T, gw *graph.Gateway) (*quarrel, *Writer) {
	q := &quarrel{server: &server{services: map[string]corev1.Service{}, slices: map[string]discoveryv1.EndpointSlice{}, pod: pod("a", "10.0.0.1")}}
	q.answers(func(string) error { return nil })
	w := New(Options{Client: q, Pods: q.server, Controller: controller, Log: logr.Discard(), Event: func(about client.Object, reason, message string) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.events = append(q.events, strings.Join([]string{about.GetObjectKind().GroupVersionKind().Kind, nameOf(about).String(), reason, message}, " "))
	}})
	q.told = w.Saw
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.Publish(&graph.Graph{Gateways: []*graph.Gateway{gw}})
	synctest.Wait()
	return q, w
}

// TestContested has a slice changed back as often as it is written, as a second installation of the same controllerName does.
func TestContested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gateway("one", 80)
		q, w := newQuarrel(t, gw)
		slice := "one/" + gw.Service.Name.Name + "-ipv4"
		rival := func(address string) {
			q.answers(func(kind string) error {
				if kind == "EndpointSlice" {
					time.AfterFunc(10*time.Millisecond, func() { q.lead(slice, address) })
				}
				return nil
			})
			q.lead(slice, address)
		}
		began := time.Now()
		rival("10.0.9.9")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := q.since(began); n < 15 || n > 30 {
			t.Errorf("the slice was written %d times in 5 minutes", n)
		}
		if len(q.events) != 1 || !strings.HasPrefix(q.events[0], "Gateway one/web Contested another writer keeps changing EndpointSlice "+slice) {
			t.Errorf("told of it: %q", q.events)
		}

		// Pods of ours that come and go are another matter, which does not wait.
		then := time.Now()
		q.server.mu.Lock()
		q.pod = pod("b", "10.0.0.2")
		q.server.mu.Unlock()
		w.Wake()
		time.Sleep(25 * time.Millisecond)
		if q.since(then) == 0 {
			t.Error("a new pod was not led to at once")
		}

		// Nor does what the other has not led to before, for long: it may be leaving.
		time.Sleep(time.Minute)
		then = time.Now()
		rival("10.0.9.10")
		time.Sleep(1100 * time.Millisecond)
		if q.since(then) == 0 {
			t.Error("callers were still led to something new after 1.1 s")
		}
	})
}

// TestOvertaken has a slice change between being read and being written. It is written when it has
// been read anew: a pod that is on its way out is led to until then.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gateway("one", 80)
		q, w := newQuarrel(t, gw)
		slice := "one/" + gw.Service.Name.Name + "-ipv4"
		refused := false
		q.answers(func(string) error {
			if refused {
				return nil
			}
			refused = true
			q.server.mu.Lock()
			defer q.server.mu.Unlock()
			s := q.slices[slice]
			s.ResourceVersion = "2"
			q.slices[slice] = s
			time.AfterFunc(10*time.Millisecond, w.Wake)
			return apierrors.NewConflict(schema.GroupResource{}, slice, nil)
		})
		q.server.mu.Lock()
		q.pod = pod("b", "10.0.0.2")
		q.server.mu.Unlock()
		w.Wake()
		time.Sleep(60 * time.Millisecond)
		if n := q.server.lead(); n != 1 {
			t.Errorf("%d slices lead to the new pod after 60 ms, want 1", n)
		}
	})
}

// TestRefused has the API server refuse a Service, while all else in the cluster changes.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := gateway("one", 80)
		q, w := newQuarrel(t, gw)
		q.answers(func(kind string) error {
			if kind == "Service" {
				return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "web", nil)
			}
			return nil
		})
		began := time.Now()
		publish := func(parameters string) {
			next := *gw
			next.Service = &graph.Service{Name: gw.Service.Name, Ports: gw.Service.Ports, Parameters: settings(t, parameters)}
			w.Publish(&graph.Graph{Gateways: []*graph.Gateway{&next}})
			time.Sleep(50 * time.Millisecond)
		}
		for range 60 * 20 {
			publish("{type: ClusterIP}")
			if !strings.Contains(w.Refused()[gw.Service.Name], "is invalid") {
				t.Fatalf("after %s it is not said that the Service is refused: %q", time.Since(began), w.Refused())
			}
		}
		if n := q.since(began); n < 6 || n > 12 {
			t.Errorf("the Service was written %d times in a minute", n)
		}
		then := time.Now()
		publish("{type: NodePort}")
		if n := q.since(then); n != 1 {
			t.Errorf("with other parameters it was written %d times at once", n)
		}
		q.answers(func(string) error { return nil })
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if len(w.Refused())+len(q.events) != 0 {
			t.Errorf("it is still refused: %q, or contested: %q", w.Refused(), q.events)
		}
	})
}
