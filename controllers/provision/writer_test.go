package provision

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// server is as much of an API server as a Writer needs.
type server struct {
	client.Client

	mu       sync.Mutex
	services map[string]corev1.Service
	slices   map[string]discoveryv1.EndpointSlice
	pod      *corev1.Pod

	company chan struct{} // if there is one, a write is answered when as many are under way as it has room for
}

func (s *server) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{}, "")
}

func (s *server) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l := list.(type) {
	case *corev1.ServiceList:
		for _, o := range s.services {
			l.Items = append(l.Items, o)
		}
	case *discoveryv1.EndpointSliceList:
		for _, o := range s.slices {
			l.Items = append(l.Items, o)
		}
	case *corev1.PodList:
		l.Items = []corev1.Pod{*s.pod}
	}
	return nil
}

func (s *server) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	return s.write(o)
}

func (s *server) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	return s.write(o)
}

func (s *server) write(o client.Object) error {
	if s.company != nil {
		select {
		case s.company <- struct{}{}:
		default: // it is full
		}
		for len(s.company) < cap(s.company) {
			time.Sleep(time.Millisecond)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o := o.(type) {
	case *corev1.Service:
		s.services[nameOf(o).String()] = *o
	case *discoveryv1.EndpointSlice:
		s.slices[nameOf(o).String()] = *o
	}
	return nil
}

// lead is how many slices lead to the pod.
func (s *server) lead() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.slices {
		if len(o.Endpoints) == 1 && o.Endpoints[0].TargetRef.UID == s.pod.UID {
			n++
		}
	}
	return n
}

// TestManyGateways replaces the pod that some hundred Gateways are served by. Their
// slices have to say so before it stops accepting, which is 5 s after it was told
// to end.
func TestManyGateways(t *testing.T) {
	const gateways = 400
	g := &graph.Graph{}
	for i := range gateways {
		g.Gateways = append(g.Gateways, gateway(fmt.Sprintf("team-%d", i), 80))
	}
	s := &server{services: map[string]corev1.Service{}, slices: map[string]discoveryv1.EndpointSlice{}, pod: pod("a", "10.0.0.1")}
	w := New(Options{Client: s, Pods: s, Controller: controller, Log: logr.Discard()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	all := func(within time.Duration) {
		t.Helper()
		for until := time.Now().Add(within); s.lead() < gateways; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%d of %d Gateways lead to the pod after %s", s.lead(), gateways, within)
			}
		}
	}
	w.Publish(g)
	all(time.Minute)
	s.mu.Lock()
	s.pod = pod("b", "10.0.0.2")
	s.mu.Unlock()
	w.Wake()
	all(5 * time.Second)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWritesBesideEachOther has an API server that answers no write before others
// have come: one that is slow must not be slow once for every Gateway.
func TestWritesBesideEachOther(t *testing.T) {
	const gateways = 40
	g := &graph.Graph{}
	for i := range gateways {
		g.Gateways = append(g.Gateways, gateway(fmt.Sprintf("team-%d", i), 80))
	}
	s := &server{services: map[string]corev1.Service{}, slices: map[string]discoveryv1.EndpointSlice{}, pod: pod("a", "10.0.0.1"), company: make(chan struct{}, atOnce)}
	w := New(Options{Client: s, Pods: s, Controller: controller, Log: logr.Discard()})
	w.Publish(g)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for until := time.Now().Add(time.Minute); s.lead() < gateways; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d of %d Gateways lead to the pod: a write waits for the one before it", s.lead(), gateways)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
