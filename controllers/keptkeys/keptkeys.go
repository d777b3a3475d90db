// Package keptkeys keeps the public keys that tokens are verified with in a
// ConfigMap, so that a replica that starts while an identity provider is down
// still knows what another one, or the one before, has fetched.
//
// cmd starts Run on the leader, which writes what its proxy has fetched, and tells
// every replica's Keeper of ConfigMaps by Saw; it calls the API server, and gives
// and takes the keys by func values. What a key set's document says is the proxy's
// business: here it is bytes.
package keptkeys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Name is the ConfigMap's, in the namespace of the replicas.
const Name = "gatehouse-key-sets"

// The bounds of the ConfigMap. What was fetched longest ago gives way.
const (
	maxSets     = 100
	maxDocument = 64 << 10  // bytes of one set; a longer one is not kept
	maxBytes    = 768 << 10 // of all; an API server takes 1 MiB
)

// Set is the keys of one key set, as they were fetched.
type Set struct {
	Source   string          `json:"source"` // where from
	Fetched  time.Time       `json:"fetched"`
	Document json.RawMessage `json:"document"`
}

// Options configure a Keeper. Client to MaxAge are required.
type Options struct {
	Client    client.Client // reads may come from a cache
	Namespace string
	Fetched   func() []Set          // what the proxy of this replica has
	Restore   func(all []Set) error // gives what is kept to the proxy; the error is what it cannot use
	MaxAge    time.Duration         // older keys are kept no longer
	Log       logr.Logger
	Owner     func(context.Context) []metav1.OwnerReference // with which the ConfigMap goes; nil: it stays when Gatehouse is uninstalled

	Every time.Duration // how often Run looks whether there is something to write; default 5 s
	Rest  time.Duration // from one write to the next, at least, doubled with each that fails; default 1 min
}

// restamp is how old the time of keys that stay the same may get in the ConfigMap.
const restamp = time.Hour

// longestRest is how long a write that fails again and again waits for the next.
const longestRest = 10 * time.Minute

// Keeper keeps the ConfigMap. Saw may be called from any goroutine.
type Keeper struct {
	opts Options
	name types.NamespacedName

	mu   sync.Mutex
	kept map[string]Set // what the ConfigMap had when it was last seen, by source
	gone int            // how often it was found to be no more
}

// New returns a Keeper.
func New(opts Options) *Keeper {
	opts.Every, opts.Rest = cmp.Or(opts.Every, 5*time.Second), cmp.Or(opts.Rest, time.Minute)
	return &Keeper{opts: opts, name: types.NamespacedName{Namespace: opts.Namespace, Name: Name}}
}

// Saw tells the Keeper of an object as it is now. Any but the ConfigMap is nothing to it.
func (k *Keeper) Saw(o client.Object) {
	c, ok := o.(*corev1.ConfigMap)
	if !ok || client.ObjectKeyFromObject(c) != k.name {
		return
	}
	kept, err := read(c)
	k.mu.Lock()
	k.kept = kept
	k.mu.Unlock()
	err = errors.Join(err, k.opts.Restore(sorted(kept)))
	if err != nil {
		k.opts.Log.Info("some kept keys are not used", "configMap", k.name.String(), "reason", err.Error())
	}
}

// Gone tells the Keeper that an object is no more. What it had is written again by
// Run; the proxy goes on with what it has.
func (k *Keeper) Gone(o client.Object) {
	if c, ok := o.(*corev1.ConfigMap); ok && client.ObjectKeyFromObject(c) == k.name {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kept = nil
		k.gone++
	}
}

// Run writes what was fetched, some time after it was, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	wait, rest := k.opts.Every, k.opts.Rest
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = k.opts.Every
		fetched := k.opts.Fetched()
		if !k.due(fetched) {
			continue
		}
		wait = rest
		err := k.write(ctx, fetched)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			k.opts.Log.Error(err, "fetched keys were not kept; a replica that starts while their issuer is down will not have them",
				"configMap", k.name.String())
			rest = min(2*rest, longestRest)
		default:
			rest = k.opts.Rest
		}
	}
}

// due reports whether the ConfigMap lacks something of what was fetched.
func (k *Keeper) due(fetched []Set) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(fetched, func(s Set) bool {
		old, there := k.kept[s.Source]
		return len(s.Document) <= maxDocument && time.Since(s.Fetched) <= k.opts.MaxAge &&
			(!there || newer(s, old) && (!bytes.Equal(s.Document, old.Document) || s.Fetched.Sub(old.Fetched).Abs() > restamp))
	})
}

// newer reports whether s was fetched after old, which a clock that ran ahead has
// not made newer for ever.
func newer(s, old Set) bool {
	return s.Fetched.After(old.Fetched) || old.Fetched.After(time.Now().Add(restamp))
}

// write puts fetched into the ConfigMap, beside what it has of other sets: those
// were fetched for tables that may come again.
func (k *Keeper) write(ctx context.Context, fetched []Set) error {
	k.mu.Lock()
	gone := k.gone
	k.mu.Unlock()
	c := &corev1.ConfigMap{}
	err := k.opts.Client.Get(ctx, k.name, c)
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return fmt.Errorf("reading the ConfigMap: %w", err)
	}
	c = c.DeepCopy() // it is the cache's
	kept, _ := read(c)
	for _, s := range fetched {
		if old, there := kept[s.Source]; !there || newer(s, old) {
			kept[s.Source] = s
		}
	}
	before := c.Data
	if c.Data, err = k.data(kept); err != nil {
		return err
	}
	switch {
	case !absent && maps.Equal(before, c.Data):
	case absent:
		c.Namespace, c.Name = k.name.Namespace, k.name.Name
		c.Labels = map[string]string{store.ManagedBy: store.Manager}
		if k.opts.Owner != nil {
			c.OwnerReferences = k.opts.Owner(ctx)
		}
		err = k.opts.Client.Create(ctx, c)
	default:
		err = k.opts.Client.Update(ctx, c) // of the version read: two leaders cannot both
	}
	if err != nil {
		return fmt.Errorf("writing the ConfigMap: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone == gone { // else it may have been this one
		k.kept, _ = read(c)
	}
	return nil
}

// data is the content of the ConfigMap, within its bounds.
func (k *Keeper) data(kept map[string]Set) (map[string]string, error) {
	all := sorted(kept)
	slices.SortStableFunc(all, func(a, b Set) int { return b.Fetched.Compare(a.Fetched) })
	out, size := map[string]string{}, 0
	for _, s := range all {
		if len(out) == maxSets || len(s.Document) > maxDocument || time.Since(s.Fetched) > k.opts.MaxAge {
			continue
		}
		s.Fetched = s.Fetched.UTC().Truncate(time.Second)
		text, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("the keys of %s: %w", s.Source, err)
		}
		if size += len(text); size > maxBytes {
			break
		}
		out[key(s.Source)] = string(text)
	}
	return out, nil
}

// key is a key of a ConfigMap, which cannot be a URL.
func key(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:16])
}

// read returns the sets of a ConfigMap by their source. The error is what others
// than a Keeper have written to it.
func read(c *corev1.ConfigMap) (kept map[string]Set, bad error) {
	kept = map[string]Set{}
	for _, name := range slices.Sorted(maps.Keys(c.Data)) {
		var s Set
		err := json.Unmarshal([]byte(c.Data[name]), &s)
		if err == nil && key(s.Source) != name {
			err = errors.New("it is not the source's")
		}
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("key %s: %w", name, err))
			continue
		}
		kept[s.Source] = s
	}
	return kept, bad
}

func sorted(kept map[string]Set) []Set {
	return slices.SortedFunc(maps.Values(kept), func(a, b Set) int { return cmp.Compare(a.Source, b.Source) })
}
