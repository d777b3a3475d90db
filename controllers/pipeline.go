package controllers

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/compile"
	"github.com/gatehouse-dev/gatehouse/controllers/endpoints"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Object is a Kubernetes object of a kind the pipeline understands.
type Object interface {
	metav1.Object
	runtime.Object
}

// Outputs are where the pipeline's results go. Each is called from the
// pipeline's one goroutine.
type Outputs struct {
	Swap         func(*table.Table) error                     // the proxy's, or a printer
	SetEndpoints func(backend string, eps []table.Endpoint)   // side door: no table is built
	Names        func(map[string]table.Name)                  // backends known by host name, all of them; may be nil
	Publish      func(*graph.Graph, *attach.Policies)         // to the status writer; must not block
	Built        func(objects int, build, swap time.Duration) // for metrics; may be nil
}

// Options configure a Pipeline.
type Options struct {
	Graph   graph.Config
	Attach  attach.Config
	Outputs Outputs
	Quiet   time.Duration // a build waits until nothing has changed for so long; default 5 ms
	Ceiling time.Duration // but no longer than this after the first change; default 50 ms
	Share   int           // of the time, in percent, that builds, the first apart, may take while changes keep coming; default 15
	GiveWay func()        // called every few microseconds of work; may be nil
	Log     logr.Logger
}

// Pipeline is the control loop. Upsert, Delete and Synced may be called from
// any goroutine; everything else happens in Run's.
type Pipeline struct {
	opts  Options
	wake  chan struct{}
	stage stage

	mu      sync.Mutex
	pending map[ObjectKey]change        // latest change per object, so it is bounded by the number of objects
	found   map[string][]table.Endpoint // of names, not yet handed on

	// Owned by Run's goroutine from here on.
	store    *store.Store
	graph    *graph.Builder
	attach   *attach.Builder
	compiler *compile.Compiler
	slices   *endpoints.Tracker
	known    map[string][]string // backends of the last table, by the id their addresses come under
	named    map[string]named    // of those, which have a name
	builds   int
	due      bool // the store has changed since the last of them
}

// stage is how far a Pipeline has come.
type stage struct {
	synced bool        // under its mu: a first table may be built
	ending atomic.Bool // no table is built any more
}

// ObjectKey names an object.
type ObjectKey struct {
	Kind store.Kind
	Name types.NamespacedName
}

// KeyOf names an object by its Go type: what informers deliver has no kind in it.
func KeyOf(o Object) ObjectKey {
	kind := reflect.TypeOf(o).Elem().Name()
	return ObjectKey{store.Kind(kind), types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}}
}

type change struct {
	object  Object
	deleted bool
}

// New returns a Pipeline; Run starts it.
func New(opts Options) *Pipeline {
	if opts.Quiet == 0 {
		opts.Quiet = 5 * time.Millisecond
	}
	if opts.Ceiling == 0 {
		opts.Ceiling = 50 * time.Millisecond
	}
	if opts.Share == 0 {
		opts.Share = 15
	}
	if opts.GiveWay == nil {
		opts.GiveWay = func() {}
	}
	p := &Pipeline{
		opts:     opts,
		wake:     make(chan struct{}, 1),
		pending:  map[ObjectKey]change{},
		store:    store.New(),
		graph:    graph.NewBuilder(opts.Graph),
		attach:   attach.NewBuilder(opts.Attach),
		compiler: compile.New(),
		slices:   endpoints.NewTracker(),
		known:    map[string][]string{},
		found:    map[string][]table.Endpoint{},
		named:    map[string]named{},
	}
	p.store.GiveWay, p.compiler.GiveWay = opts.GiveWay, opts.GiveWay
	return p
}

// Upsert tells the pipeline what an object looks like now. It must not be
// changed afterwards.
func (p *Pipeline) Upsert(o Object) { p.change(o, false) }

// Delete tells the pipeline that an object is gone.
func (p *Pipeline) Delete(o Object) { p.change(o, true) }

// Together tells the pipeline of objects that change at one time: no table is built
// of some of the changes without the others.
func (p *Pipeline) Together(upserted, deleted []Object) {
	p.mu.Lock()
	for _, o := range deleted {
		p.pending[KeyOf(o)] = change{o, true}
	}
	for _, o := range upserted {
		p.pending[KeyOf(o)] = change{o, false}
	}
	p.mu.Unlock()
	p.signal()
}

// Synced tells the pipeline that it has been told of every object there is:
// only now is a first table built.
func (p *Pipeline) Synced() {
	p.mu.Lock()
	p.stage.synced = true
	p.mu.Unlock()
	p.signal()
}

// Found tells the pipeline the endpoints of a backend that is known by name. Any
// goroutine may call it.
func (p *Pipeline) Found(backend string, eps []table.Endpoint) {
	p.mu.Lock()
	p.found[backend] = eps
	p.mu.Unlock()
	p.signal()
}

func (p *Pipeline) change(o Object, deleted bool) {
	p.mu.Lock()
	p.pending[KeyOf(o)] = change{o, deleted}
	p.mu.Unlock()
	p.signal()
}

func (p *Pipeline) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// Finish has the last table stay in force: what takes tables is ending. The
// addresses of its backends go on being handed on, for backends come and go while
// requests are finished. Any goroutine may call it.
func (p *Pipeline) Finish() { p.stage.ending.Store(true) }

// Run builds a table whenever something has changed, until ctx ends. Changes
// that come close together share a build, and so do those that come while builds
// have had their share of the time; addresses of backends do not wait for that.
func (p *Pipeline) Run(ctx context.Context) error {
	var quiet, ceiling, rested <-chan time.Time
	var next time.Time // no build before this
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake: // something changed: wait for the rest of the burst
			quiet = time.After(p.opts.Quiet)
			if ceiling == nil {
				ceiling = time.After(p.opts.Ceiling)
			}
			continue
		case <-quiet: // the burst is over
		case <-ceiling: // it has gone on for long enough
		case <-rested: // a build is due, and may be
		}
		quiet, ceiling, rested = nil, nil, nil
		p.take()
		now := time.Now()
		switch {
		case !p.due, p.stage.ending.Load():
		case now.Before(next):
			rested = time.After(next.Sub(now))
		default:
			p.build()
			if built := time.Now(); p.builds > 1 { // the first, of all there is, kept nobody waiting
				next = built.Add(pause(built.Sub(now), p.opts.Share))
			}
		}
		p.arrived()
	}
}

// longest is how long a change may wait for the share of the builds before it.
const longest = time.Second

// pause is how long to rest after a build so that builds take a share of the time,
// in percent. A change that comes alone finds the rest over.
func pause(built time.Duration, share int) time.Duration {
	return min(built*time.Duration(100-share)/time.Duration(share), longest)
}

// take applies what is pending and hands on the addresses that changed: whoever is
// told of a build finds all that came with it in force.
func (p *Pipeline) take() {
	p.mu.Lock()
	if !p.stage.synced {
		p.mu.Unlock()
		return
	}
	pending := p.pending
	p.pending = make(map[ObjectKey]change, 8)
	p.mu.Unlock()

	p.due = p.apply(pending) || p.due || p.builds == 0
	for id, eps := range p.slices.Changed() { // of backends that are in use; the others' go with the build
		for _, backend := range p.known[id] {
			p.opts.Outputs.SetEndpoints(backend, eps)
		}
	}
}

// apply brings the store up to date and reports whether a build is due.
func (p *Pipeline) apply(pending map[ObjectKey]change) bool {
	due := false
	for k, c := range pending {
		if s, ok := c.object.(*discoveryv1.EndpointSlice); ok {
			if c.deleted {
				p.slices.Delete(s)
			} else {
				p.slices.Apply(s)
			}
			continue
		}
		if c.deleted {
			due = p.store.Delete(k.Kind, k.Name) || due
		} else {
			due = p.store.Apply(c.object) || due
		}
		p.slices.Service(c.object, c.deleted)
	}
	return due
}

// build makes the graph, its policies and the table, and hands them on. A backend's addresses
// go ahead of the first table that uses it.
func (p *Pipeline) build() {
	start := time.Now()
	g := p.graph.Build(p.store)
	policies := p.attach.Build(p.store, g)
	t := p.compiler.Compile(g, policies)
	built := time.Now()
	p.backends(t.Backends)
	p.builds, p.due = p.builds+1, false
	if err := p.opts.Outputs.Swap(t); err != nil {
		p.opts.Log.Error(err, "the new table was refused; the last one stays in force")
	}
	p.opts.Outputs.Publish(g, policies)
	if p.opts.Outputs.Built != nil {
		p.opts.Outputs.Built(len(g.Routes), built.Sub(start), time.Since(built))
	}
}

// named is a name that is followed, and what was found of it last.
type named struct {
	name table.Name
	eps  []table.Endpoint
}

// backends learns which backends there are now. A new one has the addresses that
// are known; names that are new are followed from now on.
func (p *Pipeline) backends(all []*table.Backend) {
	now, names := make(map[string][]string, len(all)), map[string]table.Name{}
	for _, b := range all {
		p.opts.GiveWay()
		at := b.Endpoints()
		now[at] = append(now[at], b.ID)
		if b.Name != (table.Name{}) {
			names[at] = b.Name
		}
		known := slices.Contains(p.known[at], b.ID)
		switch same := p.named[at].name == b.Name; {
		case known && same:
		case b.Name == (table.Name{}):
			p.opts.Outputs.SetEndpoints(b.ID, p.slices.Endpoints(at))
		case same:
			p.opts.Outputs.SetEndpoints(b.ID, p.named[at].eps)
		case known: // the addresses it has are another name's
			p.opts.Outputs.SetEndpoints(b.ID, nil)
		}
	}
	p.known = now
	changed := len(names) != len(p.named)
	next := make(map[string]named, len(names))
	for at, name := range names {
		if next[at] = p.named[at]; next[at].name != name {
			next[at], changed = named{name: name}, true
		}
	}
	p.named = next
	if changed && p.opts.Outputs.Names != nil {
		p.opts.Outputs.Names(names)
	}
}

// arrived hands on what was found of names.
func (p *Pipeline) arrived() {
	p.mu.Lock()
	found := p.found
	if !p.stage.synced || len(found) == 0 {
		p.mu.Unlock()
		return
	}
	p.found = map[string][]table.Endpoint{}
	p.mu.Unlock()
	for at, eps := range found {
		of, followed := p.named[at]
		if !followed {
			continue
		}
		of.eps = eps
		p.named[at] = of
		for _, id := range p.known[at] {
			p.opts.Outputs.SetEndpoints(id, eps)
		}
	}
}
