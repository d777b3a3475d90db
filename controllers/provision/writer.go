package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Options configure a Writer. Client, Pods and Controller are required.
type Options struct {
	Client     client.Client // reads may come from a cache
	Pods       client.Reader // of gatehouse's own pods, and no others
	Controller gatewayv1.GatewayController
	// Event tells the user that somebody else keeps changing what is kept for an object; nil tells nobody.
	Event func(about client.Object, reason, message string)
	Log   logr.Logger

	Rate   float32       // writes per second; default 200
	Burst  int           // of writes; default 2000
	Settle time.Duration // a pass waits so long for what comes together with its cause; default 20 ms
	Retry  time.Duration // the same is written to an object again after this, then ever later; default 250 ms
	Resync time.Duration // everything is compared with the API server so often; default 10 min
}

func (o *Options) defaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.Settle, 20*time.Millisecond)
	set(&o.Retry, 250*time.Millisecond)
	set(&o.Resync, 10*time.Minute)
	// A pod that comes or goes is a write for every Gateway, all of which have to be
	// done while it still serves: a few seconds, for some hundred Gateways.
	if o.Rate == 0 {
		o.Rate = 200
	}
	if o.Burst == 0 {
		o.Burst = 2000
	}
	if o.Event == nil {
		o.Event = func(client.Object, string, string) {}
	}
}

// Writer writes Services and EndpointSlices. Publish and Wake may be called from
// any goroutine, whether or not this replica leads; Run writes, and is for the
// leader.
type Writer struct {
	opts   Options
	latest atomic.Pointer[graph.Graph]
	wake   chan struct{}
	fails  atomic.Pointer[map[types.NamespacedName]string]

	// Owned by Run from here on.
	reserved map[Port]uint16
	pauses   pauses
	limit    flowcontrol.RateLimiter
}

// New returns a Writer.
func New(opts Options) *Writer {
	opts.defaults()
	return &Writer{opts: opts, wake: make(chan struct{}, 1)}
}

// Publish hands the Writer the newest Graph; one that it has not come to yet is
// forgotten. It does not block.
func (w *Writer) Publish(g *graph.Graph) {
	w.latest.Store(g)
	w.Wake()
}

// Wake tells the Writer that a pod of gatehouse has changed. It does not block.
func (w *Writer) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Saw tells the Writer that an object has changed or gone, which counts if it is
// one of ours. It does not block.
func (w *Writer) Saw(o client.Object) {
	if o.GetLabels()[store.ManagedBy] == store.Manager {
		w.Wake()
	}
}

// Refused says of the Services that could not be made as they should why not, in
// the API server's words, and what to do. Any goroutine may call it; nobody may
// write to the map.
func (w *Writer) Refused() map[types.NamespacedName]string {
	if fails := w.fails.Load(); fails != nil {
		return *fails
	}
	return nil
}

// maxRetries times Retry is how long an object waits at most: what the API server
// refuses again and again has to be mended first.
const maxRetries = 64

// atOnce is how many writes are under way at a time. One after the other they
// take as long as the API server's answers together: where each takes 50 ms, a
// hundred Gateways' slices would still lead to a pod that has stopped accepting.
const atOnce = 16

// Run writes until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	w.reserved = nil
	w.pauses = pauses{w.opts.Retry, maxRetries * w.opts.Retry, map[key]attempt{}}
	w.limit = flowcontrol.NewTokenBucketRateLimiter(w.opts.Rate, w.opts.Burst)
	resync := time.NewTicker(w.opts.Resync)
	defer resync.Stop()
	for {
		var again <-chan time.Time
		if next := w.pass(ctx); !next.IsZero() {
			again = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake: // wait for what comes with it
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(w.opts.Settle):
			}
		case <-again: // something was not written, or the cache was behind
		case <-resync.C:
		}
	}
}

// pass writes what differs, and says when it must be looked at again; never, if that is
// the zero time.
func (w *Writer) pass(ctx context.Context) time.Time {
	g := w.latest.Load()
	if g == nil {
		return time.Time{}
	}
	w.pauses.forget(time.Now())
	in, err := w.read(ctx, g)
	if err != nil {
		w.failed(ctx, err)
		w.pauses.note(key{}, nil, nil, err)
		return w.pauses.due(key{}, nil, nil)
	}
	plan := Make(in)
	w.reserved = plan.Reserved
	r := round{Writer: w, found: in.objects(), fails: map[types.NamespacedName]string{}}
	for _, p := range plan.Full {
		r.fails[p.Service] = fmt.Sprintf("no target port is left for port %d: all of %d to %d are in use; remove listeners or Gateways", p.Port, graph.FirstTarget, graph.LastTarget)
		w.opts.Log.Info("no target port is left for a port of a Gateway", "service", p.Service, "port", p.Port)
	}
	r.do(ctx, plan.Create, false, func(ctx context.Context, o client.Object) error { return w.opts.Client.Create(ctx, o) })
	r.do(ctx, plan.Update, false, func(ctx context.Context, o client.Object) error { return w.opts.Client.Update(ctx, o) })
	r.do(ctx, plan.Delete, true, w.remove)
	r.do(ctx, w.abandoned(ctx, plan.Orphans), true, w.remove)
	w.fails.Store(&r.fails)
	return r.next
}

// round is the writes of one pass, and what comes of them.
type round struct {
	*Writer
	found map[key]client.Object

	mu    sync.Mutex // the rest, and pauses
	fails map[types.NamespacedName]string
	next  time.Time // when the first of those that have to wait is due
}

// do writes objects, or deletes them, but for those that have to wait.
func (r *round) do(ctx context.Context, objects []client.Object, gone bool, write func(context.Context, client.Object) error) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, o := range objects {
		k, want, found := keyOf(o, gone), o, r.found[keyOf(o, false)]
		if gone {
			want = nil
		}
		r.mu.Lock()
		due := r.pauses.due(k, want, found)
		rests := time.Now().Before(due)
		if rests {
			r.later(k, due)
		}
		r.mu.Unlock()
		if rests {
			continue
		}
		if r.limit.Wait(ctx) != nil {
			break
		}
		o := o.DeepCopyObject().(client.Object) // slices share what they hold, and the answer is read into it
		group.Go(func() error {
			err := write(ctx, o)
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.pauses.note(k, want, found, err) == contested && want != nil && err == nil {
				r.tell(k, want)
			}
			if err != nil {
				r.failed(ctx, fmt.Errorf("%s %s: %w", k.kind, k.NamespacedName, err))
				r.later(k, r.pauses.due(k, want, found))
			}
			return nil
		})
	}
	_ = group.Wait() // each was noted
}

// later notes that an object has to wait, and why the API server refused it if it did.
func (r *round) later(k key, due time.Time) {
	if r.next.IsZero() || due.Before(r.next) {
		r.next = due
	}
	if err := r.pauses.last[k].err; k.kind == "Service" && err != nil && refusal(err) {
		r.fails[k.NamespacedName] = err.Error() + "; change the GatewayParameters, or what stands in their way"
	}
}

// failed logs an error. That somebody was faster is no news: the next pass sees what
// they wrote or deleted.
func (w *Writer) failed(ctx context.Context, err error) {
	if ctx.Err() == nil && !overtaken(err) && !terminating(err) {
		w.opts.Log.Error(err, "a Service or its endpoints were not written; it is tried again")
	}
}

// overtaken says whether an object was not as it had been read, by whoever wrote to it.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// refusal says whether an error is the API server's judgement of an object, and
// not of the moment.
func refusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) && !terminating(err)
}

// terminating says that the namespace is being deleted: nothing is missing there.
func terminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func (w *Writer) remove(ctx context.Context, o client.Object) error {
	uid := o.GetUID()
	return client.IgnoreNotFound(w.opts.Client.Delete(ctx, o, client.Preconditions{UID: &uid}))
}

// read gathers what a Plan is made of.
func (w *Writer) read(ctx context.Context, g *graph.Graph) (Input, error) {
	in := Input{Controller: w.opts.Controller, Gateways: g.Gateways, Reserved: w.reserved}
	ours := client.MatchingLabels{store.ManagedBy: store.Manager}
	var services corev1.ServiceList
	var sliceList discoveryv1.EndpointSliceList
	var pods corev1.PodList
	err := errors.Join(w.opts.Client.List(ctx, &services, ours), w.opts.Client.List(ctx, &sliceList, ours), w.opts.Pods.List(ctx, &pods))
	if err != nil {
		return in, err
	}
	seen := map[types.NamespacedName]bool{}
	for i := range services.Items {
		s := &services.Items[i]
		in.Services = append(in.Services, s)
		seen[nameOf(s)] = true
	}
	for i := range sliceList.Items {
		in.Slices = append(in.Slices, &sliceList.Items[i])
	}
	for i := range pods.Items {
		in.Pods = append(in.Pods, &pods.Items[i])
	}
	for _, gw := range g.Gateways {
		if gw.Service == nil || seen[gw.Service.Name] {
			continue
		}
		var other corev1.Service
		switch err := w.opts.Client.Get(ctx, gw.Service.Name, &other); {
		case err == nil:
			in.Services = append(in.Services, &other)
		case !apierrors.IsNotFound(err):
			return in, err
		}
	}
	return in, nil
}

// objects are those that are there.
func (in *Input) objects() map[key]client.Object {
	out := map[key]client.Object{}
	for _, o := range in.Services {
		out[keyOf(o, false)] = o
	}
	for _, o := range in.Slices {
		out[keyOf(o, false)] = o
	}
	return out
}

// abandoned finds, of what no Gateway of ours wants, that whose Gateway is there
// and another controller's. What belongs to a Gateway that is gone the API server
// deletes; a Gateway whose class is away may be ours again.
func (w *Writer) abandoned(ctx context.Context, orphans []client.Object) (out []client.Object) {
	for _, o := range orphans {
		owner := metav1.GetControllerOf(o)
		if owner == nil || owner.Kind != string(store.Gateway) {
			continue
		}
		var gw gatewayv1.Gateway
		if w.opts.Client.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}, &gw) != nil || gw.UID != owner.UID {
			continue
		}
		var class gatewayv1.GatewayClass
		if w.opts.Client.Get(ctx, types.NamespacedName{Name: string(gw.Spec.GatewayClassName)}, &class) != nil {
			continue
		}
		if class.Spec.ControllerName != w.opts.Controller {
			out = append(out, o)
		}
	}
	return out
}
