// Package sharedkey keeps Secrets with keys that all replicas must agree on: the one
// that session tokens are sealed with, those of TLS session tickets, and those that
// tokens for backends are signed with. So every replica knows what another one sealed, and a restart ends nothing.
//
// cmd starts Run on the leader, which makes the Secret where there is none and
// changes its keys when they are due, and tells every replica's Keeper of Secrets
// by Saw and Gone; it calls the API server, and hands the keys to the proxy by a
// func value.
//
// Who wants another key writes it under "key" and the one before under "previous":
// what was sealed with it goes on. Keys that change by themselves have a "next"
// beside them, which replicas can open with before any of them seals with it.
package sharedkey

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// The Secrets' names, in the namespace of the replicas.
const (
	Sessions = "gatehouse-session-key"  // GEP-1619
	Tickets  = "gatehouse-ticket-keys"  // RFC 8446, section 4.6.1
	Signing  = "gatehouse-signing-keys" // of tokens for backends
)

// What a Secret holds.
const (
	Current  = "key"
	Previous = "previous"
	Next     = "next" // where keys change by themselves
)

// changed names the annotation with the time at which the keys changed last.
const changed = "gatehouse.dev/changed"

// longestRetry is how long a write that fails again and again waits for the next.
const longestRetry = 5 * time.Minute

// Options configure a Keeper. All but Every, Owner and Retry are required.
type Options struct {
	Client    client.Client
	Namespace string
	Name      string                                        // of the Secret
	Set       func(keys ...string) error                    // the first seals, all open
	Log       logr.Logger                                   //
	Every     time.Duration                                 // from one change of the keys to the next; 0: they stay
	Owner     func(context.Context) []metav1.OwnerReference // with which the Secret goes; nil: it stays when Gatehouse is uninstalled
	Retry     time.Duration                                 // what could not be written is tried again after this, then ever later; default 5 s
}

// Keeper keeps the Secret. Saw and Gone may be called from any goroutine.
type Keeper struct {
	opts Options
	name types.NamespacedName
	wake chan struct{}
}

// New returns a Keeper.
func New(opts Options) *Keeper {
	if opts.Retry == 0 {
		opts.Retry = 5 * time.Second
	}
	return &Keeper{opts: opts, name: types.NamespacedName{Namespace: opts.Namespace, Name: opts.Name}, wake: make(chan struct{}, 1)}
}

// Saw tells the Keeper of an object as it is now. Any but the Secret is nothing to it.
func (k *Keeper) Saw(o client.Object) {
	s, ok := o.(*corev1.Secret)
	if !ok || client.ObjectKeyFromObject(s) != k.name {
		return
	}
	set := []string{string(s.Data[Current])}
	for _, other := range []string{Previous, Next} {
		if key := s.Data[other]; len(key) > 0 {
			set = append(set, string(key))
		}
	}
	if err := k.opts.Set(set...); err != nil {
		k.opts.Log.Error(err, "the keys stay as they were", "secret", k.name.String())
	}
}

// Gone tells the Keeper that an object is no more. Until the Secret is there again
// its keys stay in force.
func (k *Keeper) Gone(o client.Object) {
	if s, ok := o.(*corev1.Secret); ok && client.ObjectKeyFromObject(s) == k.name {
		select {
		case k.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Run makes the Secret whenever there is none, and changes its keys when they are
// due, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	wait := k.opts.Retry
	for {
		var again <-chan time.Time
		due, err := k.ensure(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			k.opts.Log.Error(err, "the Secret was not written; replicas go on with the keys they have", "secret", k.name.String())
			again = time.After(wait)
			wait = min(2*wait, longestRetry)
		case due > 0:
			again = time.After(due)
			fallthrough
		default:
			wait = k.opts.Retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-again:
		}
	}
}

// ensure makes the Secret, or changes the keys that are due, and returns when they
// will be due next; 0 for never.
func (k *Keeper) ensure(ctx context.Context) (due time.Duration, err error) {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: k.name.Namespace, Name: k.name.Name,
			Labels: map[string]string{store.ManagedBy: store.Manager},
		},
		Data: map[string][]byte{Current: newKey()},
	}
	if k.opts.Every > 0 {
		s.Data[Next] = newKey()
		k.date(s)
	}
	if k.opts.Owner != nil {
		s.OwnerReferences = k.opts.Owner(ctx)
	}
	err = k.opts.Client.Create(ctx, s)
	switch {
	case apierrors.IsAlreadyExists(err) && k.opts.Every > 0:
		return k.change(ctx)
	case err != nil && !apierrors.IsAlreadyExists(err):
		return 0, fmt.Errorf("making the Secret: %w", err)
	}
	return k.opts.Every, nil
}

// change moves the keys on by one place if that is due: what was next seals, and
// a replica that has not heard of it yet seals with what is previous to the others.
func (k *Keeper) change(ctx context.Context) (due time.Duration, err error) {
	s := &corev1.Secret{}
	if err := k.opts.Client.Get(ctx, k.name, s); err != nil {
		return 0, fmt.Errorf("reading the Secret: %w", err)
	}
	if last, err := time.Parse(time.RFC3339Nano, s.Annotations[changed]); err == nil {
		if due := k.opts.Every - time.Since(last); due > 0 {
			return min(due, k.opts.Every), nil // a clock may have been set back
		}
	}
	s = s.DeepCopy() // it is the cache's
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	next := s.Data[Next]
	if len(next) != keyLen {
		next = newKey()
	}
	s.Data[Previous], s.Data[Current], s.Data[Next] = s.Data[Current], next, newKey()
	if len(s.Data[Previous]) != keyLen {
		delete(s.Data, Previous)
	}
	k.date(s)
	if err := k.opts.Client.Update(ctx, s); err != nil { // of the version read: two leaders cannot both
		return 0, fmt.Errorf("changing the keys: %w", err)
	}
	return k.opts.Every, nil
}

func (k *Keeper) date(s *corev1.Secret) {
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, changed, time.Now().UTC().Format(time.RFC3339Nano))
}

const keyLen = 32

// newKey is keyLen random bytes.
func newKey() []byte {
	key := make([]byte, keyLen)
	_, _ = rand.Read(key) // it never fails
	return key
}
