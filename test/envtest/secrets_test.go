//go:build envtest

package envtest

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// TestReleases looks whether what Helm keeps is held in memory: it is large, and of no use.
func TestReleases(t *testing.T) {
	c := Client(t)
	namespace := Namespace(t, c)
	for name, kind := range map[string]corev1.SecretType{"sh.helm.release.v1.shop.v1": "helm.sh/release.v1", "key": corev1.SecretTypeOpaque} {
		s := &corev1.Secret{Type: kind, Data: map[string][]byte{"release": []byte("x")}}
		s.Namespace, s.Name = namespace, name
		if err := c.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	w, err := watch.New(Start(t), watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	synced := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, watch.Sink{
			Upsert: func(o watch.Object) {
				if s, ok := o.(*corev1.Secret); ok && s.Namespace == namespace {
					mu.Lock()
					defer mu.Unlock()
					seen[s.Name] = true
				}
			},
			Delete: func(watch.Object) {},
			Synced: func() { close(synced) },
		})
	}()
	select {
	case <-synced:
	case <-time.After(30 * time.Second):
		t.Error("not synced")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !seen["key"] || len(seen) != 1 {
		t.Errorf("these Secrets are held: %v; want key alone", seen)
	}
}
