package sessionkey

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestKeeper(t *testing.T) {
	var mu sync.Mutex
	var set []string
	refuse := 1 // the first write fails
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			mu.Lock()
			defer mu.Unlock()
			if refuse--; refuse >= 0 {
				return errors.New("the API server is away")
			}
			return c.Create(ctx, o, opts...)
		},
	}).Build()
	k := New(Options{
		Client: c, Namespace: "gatehouse-system", Log: logr.Discard(), Retry: time.Millisecond,
		Owner: func(context.Context) []metav1.OwnerReference {
			return []metav1.OwnerReference{{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Name: "gatehouse-leader", UID: "1"}}
		},
		Set: func(keys ...string) error {
			if len(keys[0]) < 32 {
				return errors.New("too short")
			}
			set = keys
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	made := func() *corev1.Secret {
		t.Helper()
		s := &corev1.Secret{}
		for until := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			err := c.Get(ctx, client.ObjectKey{Namespace: "gatehouse-system", Name: SecretName}, s)
			if err == nil {
				return s
			}
			if time.Now().After(until) {
				t.Fatal(err)
			}
		}
	}
	first := made()
	if len(first.Data[Current]) != 32 {
		t.Fatalf("a key of %d bytes", len(first.Data[Current]))
	}
	if len(first.OwnerReferences) != 1 {
		t.Error("the Secret outlives what it is for")
	}
	k.Saw(first)
	if len(set) != 1 || set[0] != string(first.Data[Current]) {
		t.Errorf("the proxy has %d keys", len(set))
	}
	other := first.DeepCopy()
	other.Name = "another"
	other.Data[Current] = []byte(strings.Repeat("x", 32))
	k.Saw(other)
	k.Saw(&corev1.ConfigMap{})
	bad := first.DeepCopy()
	bad.Data[Current] = nil
	k.Saw(bad)
	if set[0] != string(first.Data[Current]) {
		t.Error("what is no key of ours has replaced it")
	}
	next := first.DeepCopy()
	next.Data[Current], next.Data[Previous] = []byte(strings.Repeat("n", 32)), first.Data[Current]
	k.Saw(next)
	if len(set) != 2 || set[0] != strings.Repeat("n", 32) || set[1] != string(first.Data[Current]) {
		t.Error("the key was not replaced")
	}
	// One that is deleted comes again, with another key.
	if err := c.Delete(ctx, first); err != nil {
		t.Fatal(err)
	}
	k.Gone(first)
	if again := made(); string(again.Data[Current]) == string(first.Data[Current]) {
		t.Error("the key is the same")
	}
}
