package replicas

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes/fake"
)

// replica stands for election until it is ended.
type replica struct {
	mu      sync.Mutex
	leads   bool
	end     context.CancelFunc
	stopped chan error
}

func stand(t *testing.T, e Election) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &replica{end: cancel, stopped: make(chan error, 1)}
	e.Namespace, e.Log = "ns", logr.Discard()
	e.Leading = func(is bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.leads = is
	}
	go func() {
		r.stopped <- e.Lead(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
	}()
	return r
}

func (r *replica) wait(t *testing.T, leads bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		is := r.leads
		r.mu.Unlock()
		if is == leads {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("leading = %v, want %v", is, leads)
		}
	}
}

func TestWhoLeadsSaysSo(t *testing.T) {
	client := fake.NewClientset().CoordinationV1()
	first := stand(t, Election{Client: client, Identity: "first"})
	first.wait(t, true)
	second := stand(t, Election{Client: client, Identity: "second"})
	first.end()
	if err := <-first.stopped; err != nil {
		t.Error(err)
	}
	first.wait(t, false)
	second.wait(t, true)
	second.end()
	if err := <-second.stopped; err != nil {
		t.Error(err)
	}
	alone := stand(t, Election{None: true})
	alone.wait(t, true)
	alone.end()
	if err := <-alone.stopped; err != nil {
		t.Error(err)
	}
}
