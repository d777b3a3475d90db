package sharedkey

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
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
		Client: c, Namespace: "gatehouse-system", Name: Sessions, Log: logr.Discard(), Retry: time.Millisecond,
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
			err := c.Get(ctx, client.ObjectKey{Namespace: "gatehouse-system", Name: Sessions}, s)
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

// Keys that change move on by one place, so that those who hear of it late open
// what the others seal, and the other way round.
func TestChange(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	opts := Options{Client: c, Namespace: "gatehouse-system", Name: Tickets, Log: logr.Discard(), Every: time.Hour, Retry: time.Millisecond}
	var set []string
	opts.Set = func(keys ...string) error {
		set = keys
		return nil
	}
	k := New(opts)
	look := func(due time.Duration, err error) *corev1.Secret {
		t.Helper()
		if err != nil || due <= 0 || due > time.Hour {
			t.Fatalf("due in %s, %v", due, err)
		}
		s := &corev1.Secret{}
		if err := c.Get(t.Context(), k.name, s); err != nil {
			t.Fatal(err)
		}
		k.Saw(s)
		return s
	}
	first := look(k.ensure(t.Context()))
	if len(set) != 2 || set[0] != string(first.Data[Current]) || set[1] != string(first.Data[Next]) {
		t.Fatalf("%d keys at first", len(set))
	}
	if again := look(k.ensure(t.Context())); again.ResourceVersion != first.ResourceVersion {
		t.Error("keys changed that were not due")
	}
	age := func(s *corev1.Secret, by string) {
		t.Helper()
		s = s.DeepCopy()
		s.Annotations[changed] = by
		if err := c.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	age(first, time.Now().Add(-61*time.Minute).Format(time.RFC3339Nano))
	second := look(k.ensure(t.Context()))
	if string(second.Data[Current]) != string(first.Data[Next]) || string(second.Data[Previous]) != string(first.Data[Current]) || len(set) != 3 || set[0] != string(first.Data[Next]) {
		t.Error("the keys did not move on by one place")
	}
	if string(second.Data[Next]) == string(first.Data[Next]) || len(second.Data[Next]) != keyLen {
		t.Error("there is no new key")
	}
	// What a person has spoilt is mended: the date, and keys of another length.
	spoilt := second.DeepCopy()
	spoilt.Data[Next], spoilt.Data[Current] = []byte("short"), nil
	age(spoilt, "yesterday")
	third := look(k.ensure(t.Context()))
	if len(third.Data[Current]) != keyLen || len(third.Data[Next]) != keyLen || third.Data[Previous] != nil {
		t.Errorf("mended to %d, %d and %d bytes", len(third.Data[Current]), len(third.Data[Next]), len(third.Data[Previous]))
	}
}

// Keys that stay are left as they are where the Secret is there: that is no failure, and
// nothing to try again.
func TestThere(t *testing.T) {
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-system", Name: Sessions}, Data: map[string][]byte{Current: []byte("theirs")}}
	tries := 0
	c := fake.NewClientBuilder().WithObjects(theirs).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			tries++
			return c.Create(ctx, o, opts...)
		},
	}).Build()
	k := New(Options{Client: c, Namespace: "gatehouse-system", Name: Sessions, Retry: time.Millisecond, Log: funcr.New(func(_, text string) { t.Error(text) }, funcr.Options{})})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := k.Run(ctx); err != nil {
		t.Error(err)
	}
	s := &corev1.Secret{}
	if err := c.Get(t.Context(), k.name, s); err != nil || string(s.Data[Current]) != "theirs" || len(s.Data) != 1 || tries != 1 {
		t.Errorf("%v; %d keys, %q; tried %d times, want once", err, len(s.Data), s.Data[Current], tries)
	}
}
