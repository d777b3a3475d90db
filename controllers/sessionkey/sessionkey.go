// Package sessionkey keeps the Secret with the key that session tokens are sealed
// with, so that all replicas agree on it, and a restart does not end the sessions.
//
// cmd starts Run on the leader, which makes the Secret where there is none, and
// tells every replica's Keeper of Secrets by Saw and Gone; it calls the API server,
// and hands the keys to the proxy by a func value.
//
// Who wants another key writes it under "key" and the one before under "previous":
// sessions that are under way go on.
package sessionkey

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

// The Secret's name, in the namespace of the replicas, and what it holds.
const (
	SecretName = "gatehouse-session-key"
	Current    = "key"
	Previous   = "previous"
)

// longestRetry is how long a write that fails again and again waits for the next.
const longestRetry = 5 * time.Minute

// Options configure a Keeper. All but Owner and Retry are required.
type Options struct {
	Client    client.Client
	Namespace string
	Set       func(keys ...string) error // the first seals, all open
	Log       logr.Logger
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
	return &Keeper{opts: opts, name: types.NamespacedName{Namespace: opts.Namespace, Name: SecretName}, wake: make(chan struct{}, 1)}
}

// Saw tells the Keeper of an object as it is now. Any but the Secret is nothing to it.
func (k *Keeper) Saw(o client.Object) {
	s, ok := o.(*corev1.Secret)
	if !ok || client.ObjectKeyFromObject(s) != k.name {
		return
	}
	keys := []string{string(s.Data[Current])}
	if previous := s.Data[Previous]; len(previous) > 0 {
		keys = append(keys, string(previous))
	}
	if err := k.opts.Set(keys...); err != nil {
		k.opts.Log.Info("the session keys stay as they were", "secret", k.name.String(), "reason", err.Error())
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

// Run makes the Secret whenever there is none, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	wait := k.opts.Retry
	for {
		var again <-chan time.Time
		if err := k.ensure(ctx); err != nil && ctx.Err() == nil {
			k.opts.Log.Info("the Secret with the session key was not made; each replica keeps sessions by itself", "secret", k.name.String(), "reason", err.Error())
			again = time.After(wait)
			wait = min(2*wait, longestRetry)
		} else {
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

func (k *Keeper) ensure(ctx context.Context) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: k.name.Namespace, Name: k.name.Name,
			Labels: map[string]string{store.ManagedBy: store.Manager},
		},
		Data: map[string][]byte{Current: newKey()},
	}
	if k.opts.Owner != nil {
		s.OwnerReferences = k.opts.Owner(ctx)
	}
	err := k.opts.Client.Create(ctx, s)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the Secret: %w", err)
	}
	return nil
}

// newKey is 32 random bytes.
func newKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}
