package keptkeys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	namespace = "gatehouse-system"
	maxAge    = 72 * time.Hour
)

// replica is one Keeper and what its proxy has.
type replica struct {
	*Keeper
	client   client.Client
	fetched  []Set
	restored []Set
	writes   int
	written  func(client.Object) // is told of each write, if it is there
	log      strings.Builder
}

func newReplica(t *testing.T, objects ...client.Object) *replica {
	r := &replica{}
	r.client = fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			r.writes++
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			r.writes++
			err := c.Update(ctx, o, opts...)
			if r.written != nil {
				r.written(o)
			}
			return err
		},
	}).Build()
	r.Keeper = New(Options{
		Client: r.client, Namespace: namespace, MaxAge: maxAge,
		Fetched: func() []Set { return r.fetched },
		Restore: func(all []Set) error { r.restored = all; return nil },
		Log:     funcr.New(func(_, args string) { r.log.WriteString(args + "\n") }, funcr.Options{}),
		Owner: func(context.Context) []metav1.OwnerReference {
			return []metav1.OwnerReference{{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Name: "gatehouse-leader", UID: "1"}}
		},
	})
	return r
}

// look does what Run does each time, and returns the ConfigMap; nil for none.
func (r *replica) look(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	if r.due(r.fetched) {
		if err := r.write(t.Context(), r.fetched); err != nil {
			t.Fatal(err)
		}
	}
	c := &corev1.ConfigMap{}
	err := r.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: Name}, c)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func of(source string, age time.Duration, document string) Set {
	return Set{Source: source, Fetched: time.Now().Add(-age).Truncate(time.Second), Document: json.RawMessage(document)}
}

// print is the sources and documents of sets.
func print(all []Set) string {
	var lines []string
	for _, s := range all {
		lines = append(lines, s.Source+"="+string(s.Document))
	}
	return strings.Join(lines, " ")
}

func TestKeeper(t *testing.T) {
	r := newReplica(t)
	if r.look(t) != nil {
		t.Error("a ConfigMap of nothing")
	}
	r.fetched = []Set{of("a", 0, `{"keys":[1]}`), of("b", time.Minute, `{"keys":[2]}`), of("old", maxAge+time.Minute, `{}`)}
	c := r.look(t)
	if c == nil || len(c.Data) != 2 || len(c.OwnerReferences) != 1 || c.Labels["app.kubernetes.io/managed-by"] != "gatehouse" {
		t.Fatalf("%+v", c)
	}
	// Another replica is told of it.
	other := newReplica(t)
	other.Saw(c)
	if got := print(other.restored); got != `a={"keys":[1]} b={"keys":[2]}` || !other.restored[0].Fetched.Equal(r.fetched[0].Fetched) {
		t.Errorf("%s, %v", got, other.restored)
	}
	// The same keys, fetched again, are not written again, but once an hour.
	r.fetched[0] = of("a", -time.Minute, `{"keys":[1]}`)
	if r.look(t); r.writes != 1 {
		t.Errorf("%d writes", r.writes)
	}
	r.fetched[0] = of("a", -2*restamp, `{"keys":[1]}`)
	if r.look(t); r.writes != 2 {
		t.Errorf("%d writes", r.writes)
	}
	// Other keys are; a set that is fetched no longer stays; older keys replace nothing.
	r.fetched = []Set{of("b", 2*time.Minute, `{"keys":[0]}`), of("c", 0, `{"keys":[3]}`)}
	c = r.look(t)
	other.Saw(c)
	if got := print(other.restored); got != `a={"keys":[1]} b={"keys":[2]} c={"keys":[3]}` {
		t.Error(got)
	}
	// What is deleted comes again.
	if err := r.client.Delete(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r.Gone(c)
	if c := r.look(t); c == nil || len(c.Data) != 2 {
		t.Errorf("%+v", c)
	}
	r.Saw(&corev1.Secret{})
	r.Gone(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name}})
	r.restored = nil
	r.Saw(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "else", Name: Name}})
	if r.restored != nil {
		t.Error("somebody else's ConfigMap is ours")
	}
}

// A clock that ran ahead does not keep its keys for ever.
func TestClock(t *testing.T) {
	r := newReplica(t)
	r.fetched = []Set{of("a", -24*time.Hour, `1`)}
	r.look(t)
	r.fetched = []Set{of("a", 0, `2`)}
	r.Saw(r.look(t))
	if got := print(r.restored); got != "a=2" {
		t.Error(got)
	}
	if r.look(t); r.writes != 2 {
		t.Errorf("%d writes", r.writes)
	}
}

func TestBounds(t *testing.T) {
	r := newReplica(t)
	for i := range maxSets + 20 {
		r.fetched = append(r.fetched, of(fmt.Sprintf("s%03d", i), time.Duration(i)*time.Minute, `{}`))
	}
	if c := r.look(t); len(c.Data) != maxSets || c.Data[key("s000")] == "" || c.Data[key(fmt.Sprintf("s%03d", maxSets))] != "" {
		t.Errorf("%d sets", len(c.Data))
	}
	// What there is no room for is not written again and again.
	if r.look(t); r.writes != 1 {
		t.Errorf("%d writes", r.writes)
	}
	r = newReplica(t)
	for i := range 20 {
		r.fetched = append(r.fetched, of(fmt.Sprint("s", i), 0, `"`+strings.Repeat("x", maxDocument-100)+`"`))
	}
	r.fetched = append(r.fetched, of("long", 0, `"`+strings.Repeat("x", maxDocument)+`"`))
	size := 0
	c := r.look(t)
	for _, text := range c.Data {
		size += len(text)
	}
	if size > maxBytes || len(c.Data) < 10 || c.Data[key("long")] != "" {
		t.Errorf("%d sets of %d bytes", len(c.Data), size)
	}
}

// Whatever else somebody writes to the ConfigMap, the rest of it counts.
func TestRubbish(t *testing.T) {
	good, err := json.Marshal(of("a", 0, `1`))
	if err != nil {
		t.Fatal(err)
	}
	c := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name},
		Data:       map[string]string{key("a"): string(good), "x": "<html>", key("b"): string(good)},
	}
	r := newReplica(t, c)
	r.Saw(c)
	if got := print(r.restored); got != "a=1" || !strings.Contains(r.log.String(), "it is not the source's") || !strings.Contains(r.log.String(), "key x: ") {
		t.Errorf("%s; %s", got, r.log.String())
	}
	r.fetched = []Set{of("c", 0, `2`)}
	if c := r.look(t); len(c.Data) != 2 {
		t.Errorf("%v", c.Data)
	}
}

// Run writes by itself, and again after a write that failed.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	refuse := 1
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
		Client: c, Namespace: namespace, MaxAge: maxAge, Log: logr.Discard(), Every: time.Millisecond, Rest: time.Millisecond,
		Fetched: func() []Set { return []Set{of("a", 0, `1`)} }, Restore: func([]Set) error { return nil },
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
	made := &corev1.ConfigMap{}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: Name}, made)
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	if all, err := read(made); err != nil || !slices.Equal([]string{"a=1"}, strings.Fields(print(sorted(all)))) {
		t.Error(all, err)
	}
}

// What is deleted while it is written comes again.
func TestDeletedMeanwhile(t *testing.T) {
	r := newReplica(t)
	r.fetched = []Set{of("a", time.Minute, `1`)}
	r.look(t)
	r.fetched = []Set{of("a", 0, `2`)}
	r.written = func(o client.Object) {
		if err := r.client.Delete(t.Context(), o); err != nil {
			t.Error(err)
		}
		r.Gone(o)
	}
	r.look(t)
	r.written = nil
	if c := r.look(t); c == nil || len(c.Data) != 1 || r.writes != 3 {
		t.Errorf("%+v after %d writes", c, r.writes)
	}
}
