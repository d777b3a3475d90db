package status

import (
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// changes is what the Writer was told of objects and has not looked at yet: the newest
// version of each. It is kept while Run runs.
type changes struct {
	mu       sync.Mutex
	versions map[Key]string // nil while it is not
	wake     chan struct{}
}

// begin forgets what there was, and keeps what comes from now on or not.
func (c *changes) begin(keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions = nil
	if keep {
		c.versions = map[Key]string{}
	}
}

// take returns what there is, and forgets it.
func (c *changes) take() map[Key]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.versions
	c.versions = map[Key]string{}
	return all
}

// putBack keeps what is to be looked at later, unless something newer has come.
func (c *changes) putBack(key Key, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, newer := c.versions[key]; !newer {
		c.versions[key] = version
	}
}

// Saw tells the Writer of an object as it is now: if somebody else has changed what
// was written to its status, it is written again. It does not block, and may be called
// from any goroutine.
func (w *Writer) Saw(o client.Object) {
	kind := reflect.TypeOf(o).Elem().Name() // what informers deliver has no kind in it
	if empty(kind) == nil {
		return
	}
	w.changes.mu.Lock()
	defer w.changes.mu.Unlock()
	if w.changes.versions == nil {
		return
	}
	w.changes.versions[Key{kind, client.ObjectKeyFromObject(o)}] = o.GetResourceVersion()
	select {
	case w.changes.wake <- struct{}{}:
	default: // it is awake already
	}
}

// mended is when a status was mended last, and for how long it stays as it is from then
// on, whatever others write: who writes as stubbornly as we do is met ever more rarely.
type mended struct {
	at   time.Time
	wait time.Duration
}

// next is what m becomes when the status is mended now.
func (m mended) next(now time.Time, first, longest time.Duration) mended {
	if m.wait == 0 || now.Sub(m.at) > 2*longest {
		return mended{now, first}
	}
	return mended{now, min(2*m.wait, longest)}
}

// mend writes what somebody else has changed of what was written.
func (w *Writer) mend(ctx context.Context, now time.Time) {
	for key, version := range w.changes.take() {
		was, ok := w.written[key]
		if !ok || version == was.version || ctx.Err() != nil {
			continue // not ours to write, or what we wrote
		}
		if last := w.mended[key]; now.Sub(last.at) < last.wait {
			w.changes.putBack(key, version)
			continue
		}
		if w.changed(ctx, key, was) {
			w.mended[key] = w.mended[key].next(now, w.opts.Recheck, w.opts.Resync)
			w.opts.Log.Info("somebody else has changed a status; it is mended", "kind", key.Kind, "object", key.NamespacedName)
			w.writeAll(ctx, []*attempt{{desired: was.desired, source: was.source}}, func() bool { return false })
		}
	}
}

// changed reports whether the status of an object, as the cache has it, is not what was
// written. A cache that is behind will tell of it again; what a person changed beside
// the status comes with a Graph of its own.
func (w *Writer) changed(ctx context.Context, key Key, was done) bool {
	obj := empty(key.Kind)
	if w.opts.Client.Get(ctx, key.NamespacedName, obj) != nil || older(obj.GetResourceVersion(), was.version) {
		return false
	}
	if d := was.desired; d.Generation != 0 && obj.GetGeneration() != d.Generation || d.UID != "" && obj.GetUID() != d.UID {
		return false
	}
	before := obj.DeepCopyObject()
	w.merge(obj, was.desired)
	return !equality.Semantic.DeepEqual(before, obj)
}

// older reports whether version a of an object is known to be older than b.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// forget drops what is too long ago to count.
func (w *Writer) forget(now time.Time) {
	for key, m := range w.mended {
		if now.Sub(m.at) > 2*w.opts.Resync {
			delete(w.mended, key)
		}
	}
}
