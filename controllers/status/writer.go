package status

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
)

// Options configure a Writer. Client, Controller and Applied are required.
type Options struct {
	Client     client.Client // reads may come from a cache
	Live       client.Reader // reads past the cache, after a conflict; nil: Client
	Controller gatewayv1.GatewayController
	Applied    func() Applied
	// Event tells the user that an object was not accepted; nil tells nobody.
	Event func(about client.Object, reason, message string)
	Log   logr.Logger

	Rate    float32       // writes per second; default 50
	Burst   int           // of writes; default 100
	Settle  time.Duration // a pass waits so long for the next Graph to make it unnecessary; default 50 ms
	Recheck time.Duration // what the proxy applied, and writes that failed, are looked at so often; default 2 s
	Longest time.Duration // writes that fail again and again are tried ever later, up to this; default 1 min
	Resync  time.Duration // all objects are compared with the API server so often; default 10 min
}

func (o *Options) defaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.Settle, 50*time.Millisecond)
	set(&o.Recheck, 2*time.Second)
	set(&o.Longest, time.Minute)
	set(&o.Resync, 10*time.Minute)
	if o.Rate == 0 {
		o.Rate = 50
	}
	if o.Burst == 0 {
		o.Burst = 100
	}
	if o.Live == nil {
		o.Live = o.Client
	}
	if o.Event == nil {
		o.Event = func(client.Object, string, string) {}
	}
}

// Writer writes statuses. Publish and Saw may be called from any goroutine, whether
// or not this replica leads; Run writes, and is for the leader.
type Writer struct {
	opts    Options
	latest  atomic.Pointer[picture]
	wake    chan struct{}
	changes changes

	// Owned by Run from here on.
	written map[Key]done // what the API server has of ours
	mended  map[Key]mended
	failed  map[Key]failure
	limit   flowcontrol.RateLimiter
}

// done is what was last written, what it was made of, and the version of the object with it.
type done struct {
	desired Desired
	source  source
	version string
	doubted bool // it is to be compared again, though nothing says that it has changed
}

// failure is a status that could not be written, until it is or is wanted no longer.
type failure struct {
	desired Desired
	due     time.Time
	wait    time.Duration
}

// New returns a Writer.
func New(opts Options) *Writer {
	opts.defaults()
	return &Writer{opts: opts, wake: make(chan struct{}, 1), changes: changes{wake: make(chan struct{}, 1)}}
}

// Publish hands the Writer the newest Graph with its Policies; one that it has not
// come to yet is forgotten. It does not block.
func (w *Writer) Publish(g *graph.Graph, p *attach.Policies) {
	w.latest.Store(&picture{g, p})
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run writes until ctx ends. It knows nothing of what an earlier leader wrote, so
// it begins by comparing everything.
func (w *Writer) Run(ctx context.Context) error {
	w.written, w.mended, w.failed = map[Key]done{}, map[Key]mended{}, map[Key]failure{}
	w.changes.begin(true)
	defer w.changes.begin(false)
	w.limit = flowcontrol.NewTokenBucketRateLimiter(w.opts.Rate, w.opts.Burst)
	recheck, resync := time.NewTicker(w.opts.Recheck), time.NewTicker(w.opts.Resync)
	defer recheck.Stop()
	defer resync.Stop()
	var seen Applied
	pass := func() {
		if latest := w.latest.Load(); latest != nil {
			seen = w.opts.Applied()
			w.pass(ctx, latest, seen)
		}
	}
	pass()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake: // a new Graph: give the next a moment to replace it
			if !sleep(ctx, w.opts.Settle) {
				return nil
			}
			pass()
		case <-recheck.C: // the proxy may have bound a port since, the API server may be back
			if now := w.opts.Applied(); w.overdue(time.Now()) || !sameApplied(now, seen) {
				pass()
			}
			w.mend(ctx, time.Now()) // what had to wait
		case <-w.changes.wake: // our own writes come back here too
			if !sleep(ctx, w.opts.Settle) {
				return nil
			}
			w.mend(ctx, time.Now())
		case <-resync.C: // whatever was missed
			w.forget(time.Now())
			for key, was := range w.written {
				was.doubted = true
				w.written[key] = was
			}
			pass()
		}
	}
}

func sameApplied(a, b Applied) bool {
	return (a.Generation == 0) == (b.Generation == 0) && a.Refused == b.Refused &&
		maps.Equal(a.BindErrors, b.BindErrors) && maps.Equal(a.Services, b.Services) && maps.Equal(a.KeySets, b.KeySets)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// yield is how long a pass goes on when there is a newer Graph. A pass over many
// objects must make way, but one that always did would never get anywhere.
const yield = 500 * time.Millisecond

// pass writes what differs from what was written. What it has not come to when
// it makes way for a newer Graph is still to be written.
func (w *Writer) pass(ctx context.Context, latest *picture, applied Applied) {
	until := time.Now().Add(yield)
	present := map[Key]bool{}
	var due []*attempt
	p := projection{*latest, applied, w.opts.Controller}
	p.each(func(d Desired, s source) {
		present[d.Key] = true
		if was, ok := w.written[d.Key]; ok && !was.doubted && reflect.DeepEqual(was.desired, d) {
			w.written[d.Key] = done{desired: d, source: s, version: was.version}
		} else if !w.rests(d) {
			due = append(due, &attempt{desired: d, source: s})
		}
	}, func(key Key, s source) bool {
		was, ok := w.written[key]
		same := ok && !was.doubted && was.source.same(s)
		present[key] = present[key] || same
		return same
	})
	for key, was := range w.written {
		if present[key] {
			continue
		}
		d := &Desired{Key: key}
		if key.Kind == kindClass || key.Kind == kindGateway || key.Kind == kindSet {
			if d = w.unclaimed(ctx, key, was.desired); d == nil || reflect.DeepEqual(*d, was.desired) {
				delete(w.written, key) // gone, or another controller's now, or told
				continue
			}
		}
		if !w.rests(*d) {
			due = append(due, &attempt{desired: *d})
		}
	}
	maps.DeleteFunc(w.failed, func(key Key, _ failure) bool { _, ours := w.written[key]; return !present[key] && !ours })
	w.writeAll(ctx, due, func() bool { return ctx.Err() != nil || w.latest.Load() != latest && time.Now().After(until) })
}

// rests says whether a status could not be written as it is, and is not to be tried yet: what
// changes elsewhere, many times a second perhaps, will not have mended that.
func (w *Writer) rests(d Desired) bool {
	f, ok := w.failed[d.Key]
	return ok && time.Now().Before(f.due) && reflect.DeepEqual(f.desired, d)
}

// overdue says whether something that failed is to be tried now.
func (w *Writer) overdue(now time.Time) bool {
	for _, f := range w.failed {
		if now.After(f.due) {
			return true
		}
	}
	return false
}

// attempt is one status that is to be written, and what came of it.
type attempt struct {
	desired       Desired
	source        source
	version       string        // of the object that has the status, "" if none has
	before, after client.Object // what it was read as, and what it is now; nil if there is none to tell of
	err           error
}

// atOnce is how many writes are under way at a time. One after the other they take as
// long as the API server's answers together; and where an answer takes longer than a
// pass goes on, a Gateway that keeps changing would be all that is ever written.
const atOnce = 8

// writeAll writes statuses until it has to stop, and remembers what is done. Some at a time:
// a pass over thousands is to tell of the first before it is through, and keep none of them.
func (w *Writer) writeAll(ctx context.Context, due []*attempt, over func() bool) {
	for some := range slices.Chunk(due, 8*atOnce) {
		var group errgroup.Group
		group.SetLimit(atOnce)
		begun := 0
		for _, a := range some {
			if over() {
				break
			}
			begun++
			group.Go(func() error {
				a.err = w.write(ctx, a)
				return nil
			})
		}
		_ = group.Wait() // the attempts have the errors
		for _, a := range some[:begun] {
			w.note(ctx, a)
			a.before, a.after = nil, nil
		}
		if begun < len(some) {
			return
		}
	}
}

// note remembers what came of an attempt, and tells of it.
func (w *Writer) note(ctx context.Context, a *attempt) {
	d := a.desired
	if a.err != nil {
		if ctx.Err() == nil {
			w.fail(d, a.err)
		}
		return
	}
	if a.after != nil {
		w.tell(a.before, a.after)
		w.tellFaults(a.after, d.Ingress)
	}
	delete(w.failed, d.Key)
	if len(d.Parents) == 0 && len(d.Ancestors) == 0 && len(d.Backend) == 0 && d.Class == nil && d.Gateway == nil && d.Set == nil && d.Ingress == nil {
		delete(w.written, d.Key)
	} else {
		w.written[d.Key] = done{desired: d, source: a.source, version: a.version}
	}
}

// fail remembers what could not be written. What is wanted otherwise than last time begins anew.
func (w *Writer) fail(d Desired, err error) {
	w.opts.Log.Error(err, "a status was not written; it is tried again", "kind", d.Key.Kind, "object", d.Key.NamespacedName)
	wait := w.opts.Recheck
	if was, ok := w.failed[d.Key]; ok && reflect.DeepEqual(was.desired, d) {
		wait = min(2*was.wait, w.opts.Longest)
	}
	w.failed[d.Key] = failure{d, time.Now().Add(wait), wait}
}

// maxTries is how often one status is tried before it has to wait its turn again.
const maxTries = 5

// write brings the status of one object up to date: reads, merges, and updates
// that very version, again if somebody was faster. An object that is gone, or
// another or newer than the Graph's, is left to the next Graph. Several run at a time;
// they read what the Writer knows, and write to none of it.
func (w *Writer) write(ctx context.Context, a *attempt) error {
	from, wait, d := client.Reader(w.opts.Client), 10*time.Millisecond, &a.desired
	for tries := 1; ; tries++ {
		obj := empty(d.Key.Kind)
		if obj == nil {
			return fmt.Errorf("status: no kind %q", d.Key.Kind)
		}
		if err := from.Get(ctx, d.Key.NamespacedName, obj); err != nil {
			return client.IgnoreNotFound(err)
		}
		if d.Generation != 0 && obj.GetGeneration() > d.Generation || d.UID != "" && obj.GetUID() != d.UID {
			return nil
		}
		before := obj.DeepCopyObject().(client.Object)
		w.merge(obj, *d)
		err := w.update(ctx, before, obj)
		if err == nil {
			a.before, a.after, a.version = before, obj, obj.GetResourceVersion()
			return nil
		}
		if !apierrors.IsConflict(err) || tries == maxTries {
			return client.IgnoreNotFound(err)
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
		from, wait = w.opts.Live, 2*wait
	}
}

// update writes a status if that makes a difference.
func (w *Writer) update(ctx context.Context, before, obj client.Object) error {
	if equality.Semantic.DeepEqual(before, obj) {
		return nil
	}
	if err := w.limit.Wait(ctx); err != nil {
		return err
	}
	return w.opts.Client.Status().Update(ctx, obj)
}

func empty(kind string) client.Object {
	switch kind {
	case kindClass:
		return &gatewayv1.GatewayClass{}
	case kindGateway:
		return &gatewayv1.Gateway{}
	case kindSet:
		return &gatewayv1.ListenerSet{}
	case kindRoute:
		return &gatewayv1.HTTPRoute{}
	case kindGRPC:
		return &gatewayv1.GRPCRoute{}
	case kindTLS:
		return &gatewayv1.TLSRoute{}
	case kindTCP:
		return &gatewayv1.TCPRoute{}
	case kindUDP:
		return &gatewayv1.UDPRoute{}
	case kindIngress:
		return &networkingv1.Ingress{}
	case kindBackendTLS:
		return &gatewayv1.BackendTLSPolicy{}
	case kindTraffic:
		return &gatewayxv1alpha1.XBackendTrafficPolicy{}
	case kindOutside:
		return &gatewayxv1alpha1.XBackend{}
	case v1alpha1.KindAuthPolicy:
		return &v1alpha1.AuthPolicy{}
	case v1alpha1.KindValidationPolicy:
		return &v1alpha1.ValidationPolicy{}
	}
	return nil
}

func (w *Writer) merge(obj client.Object, d Desired) {
	m := merger{w.opts.Controller, metav1.NewTime(metav1.Now().Truncate(time.Second))}
	switch o := obj.(type) {
	case *gatewayv1.GatewayClass:
		m.class(&o.Status, d.Class)
	case *gatewayv1.Gateway:
		m.gateway(&o.Status, d.Gateway)
	case *gatewayv1.ListenerSet:
		m.listenerSet(&o.Status, d.Set)
	case *gatewayv1.HTTPRoute:
		o.Status.Parents = m.parents(o.Status.Parents, d.Parents)
	case *gatewayv1.GRPCRoute:
		o.Status.Parents = m.parents(o.Status.Parents, d.Parents)
	case *gatewayv1.TLSRoute:
		o.Status.Parents = m.parents(o.Status.Parents, d.Parents)
	case *gatewayv1.TCPRoute:
		o.Status.Parents = m.parents(o.Status.Parents, d.Parents)
	case *gatewayv1.UDPRoute:
		o.Status.Parents = m.parents(o.Status.Parents, d.Parents)
	case *networkingv1.Ingress:
		w.mergeIngress(o, d.Ingress)
	case *gatewayxv1alpha1.XBackendTrafficPolicy:
		o.Status.Ancestors = m.ancestors(o.Status.Ancestors, d.Ancestors)
	case *gatewayv1.BackendTLSPolicy:
		o.Status.Ancestors = m.ancestors(o.Status.Ancestors, d.Ancestors)
	case *gatewayxv1alpha1.XBackend:
		o.Status.Ancestors = m.backend(o.Status.Ancestors, d.Backend)
	case *v1alpha1.AuthPolicy:
		o.Status.Ancestors = m.ancestors(o.Status.Ancestors, d.Ancestors)
	case *v1alpha1.ValidationPolicy:
		o.Status.Ancestors = m.ancestors(o.Status.Ancestors, d.Ancestors)
	}
}
