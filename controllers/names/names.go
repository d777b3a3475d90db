// Package names keeps the addresses of backends that are known by a host name
// (XBackend, GEP-4894), past store, graph and compile as endpoints does for pods.
//
// The pipeline says which names are wanted; cmd runs a Resolver, which asks DNS
// beside the traffic and hands back what it found. It calls the resolver of the
// Go runtime: that of the machine, with its hosts file. Its search list does not
// count: in a pod that makes a Service of other.svc or of other.ns.
//
// A name is asked for again every half minute, whatever the TTL of its records,
// which that resolver does not tell. What was found last stands while DNS does not
// answer or knows no address. There is one goroutine for each name, and a bound on
// how many of them ask at one time.
package names

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Options configure a Resolver. Found is required.
type Options struct {
	// Found is told the endpoints of a backend when they change, from any
	// goroutine.
	Found  func(backend string, eps []table.Endpoint)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error) // of a whole name, which ends in a dot; default: the machine's resolver
	Allow  func(netip.Addr) bool                                        // addresses that may be sent to; default public
	Log    logr.Logger

	Every   time.Duration // a name is asked for again; default 30 s
	Retry   time.Duration // after the first failure, then ever later up to Every; default 1 s
	Timeout time.Duration // of one question; default 5 s
	AtOnce  int           // questions under way at one time; default 16
}

func (o *Options) defaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.Every, 30*time.Second)
	set(&o.Retry, time.Second)
	set(&o.Timeout, 5*time.Second)
	if o.AtOnce == 0 {
		o.AtOnce = 16
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Allow == nil {
		o.Allow = public
	}
}

// clouds are the addresses by which nodes ask their cloud for credentials and settings,
// where they are not link-local ones. proxy/remote keeps policies from the same.
var clouds = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),      // AWS
	netip.MustParseAddr("fd00:ec2::23"),       // AWS, the credentials of EKS pods
	netip.MustParseAddr("fd20:ce::254"),       // Google
	netip.MustParseAddr("168.63.129.16"),      // Azure
	netip.MustParseAddr("100.100.100.200"),    // Alibaba
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle
}

// public refuses the addresses that lead back into the machine or to the services
// of its host and cloud: a name that anybody can choose must not reach those (GEP-4894,
// "Security considerations").
func public(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsUnspecified() && !slices.Contains(clouds, a)
}

// Resolver follows names. Want may be called from any goroutine.
type Resolver struct {
	opts Options
	wake chan struct{}
	slot chan struct{} // held while asking

	mu    sync.Mutex
	want  map[string]wanted
	round int // of Want
}

// wanted is a name, and since when: one that went and came back in between is to
// be found anew.
type wanted struct {
	table.Name
	since int
}

// New returns a Resolver; Run starts it.
func New(opts Options) *Resolver {
	opts.defaults()
	return &Resolver{opts: opts, wake: make(chan struct{}, 1), slot: make(chan struct{}, opts.AtOnce)}
}

// Want says which backends are wanted, all of them, and their names. It does not
// block.
func (r *Resolver) Want(names map[string]table.Name) {
	next := make(map[string]wanted, len(names))
	r.mu.Lock()
	r.round++
	for id, name := range names {
		next[id] = wanted{name, r.round}
		if was, there := r.want[id]; there && was.Name == name {
			next[id] = was
		}
	}
	r.want = next
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// followed is a name that is being followed.
type followed struct {
	name wanted
	stop context.CancelFunc
}

// Run follows names until ctx ends.
func (r *Resolver) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	under := map[string]followed{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		r.mu.Lock()
		want := r.want
		r.mu.Unlock()
		for id, f := range under {
			if name, still := want[id]; !still || name != f.name {
				f.stop()
				delete(under, id)
			}
		}
		for id, name := range want {
			if _, there := under[id]; there {
				continue
			}
			own, stop := context.WithCancel(ctx)
			under[id] = followed{name, stop}
			group.Go(func() { r.follow(own, id, name.Name) })
		}
	}
}

// follow asks for one name until ctx ends.
func (r *Resolver) follow(ctx context.Context, id string, name table.Name) {
	var last []table.Endpoint
	wait := r.opts.Retry
	for {
		pause := r.opts.Every - r.opts.Every/8 + rand.N(r.opts.Every/4) // names that came together part ways
		eps, err := r.ask(ctx, name)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.opts.Log.Error(err, "a backend's name was not found; what was found last stands", "backend", id, "host", name.Host)
			pause, wait = wait, min(2*wait, r.opts.Every)
		default:
			wait = r.opts.Retry
			if !slices.Equal(eps, last) {
				last = eps
				r.opts.Found(id, eps)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

var errNoAddress = errors.New("it has no address that may be sent to")

// ask asks once. The endpoints are in order, so that they compare.
func (r *Resolver) ask(ctx context.Context, name table.Name) ([]table.Endpoint, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r.slot <- struct{}{}:
		defer func() { <-r.slot }()
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	found, err := r.opts.Lookup(ctx, strings.TrimSuffix(name.Host, ".")+".")
	if err != nil {
		return nil, err
	}
	var out []table.Endpoint
	for _, a := range found {
		if a = a.Unmap(); r.opts.Allow(a) {
			out = append(out, table.Endpoint{Address: netip.AddrPortFrom(a, name.Port)})
		}
	}
	if len(out) == 0 {
		return nil, errNoAddress
	}
	slices.SortFunc(out, func(a, b table.Endpoint) int { return a.Address.Compare(b.Address) })
	return slices.Compact(out), nil
}
