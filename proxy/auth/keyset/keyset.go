// Package keyset owns the key sets that tokens are verified with.
//
// proxy/guard hands it the table's key sets at every swap (Set) and gives the
// jwt methods theirs (Get). Sets are fetched in the background, one goroutine
// each, never by a request. A set stays in force until a better one is there:
// an identity provider that is down, or answers rubbish, changes nothing.
package keyset

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Back-off of fetches.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Config is what KeySets is made from.
type Config struct {
	Transport http.RoundTripper                                  // nil: a plain one
	Through   func(backend string, http2 bool) http.RoundTripper // the way to a Backend; nil: there are none
	Report    func(id string, left Left, err error)              // of each fetch, from the background; nil error: it went well. May be nil
}

// KeySets is all key sets by ID. Set and Close are called one at a time.
type KeySets struct {
	client  *remote.Client
	through func(backend string, http2 bool) http.RoundTripper
	report  func(id string, left Left, err error)
	sets    map[string]*KeySet
	kept    map[string]Kept // by ID
	mu      sync.Mutex      // sets and kept, between Set and others
	last    atomic.Uint64   // the version given last: no two states of any sets share one
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// New makes an empty KeySets. Close it.
func New(c Config) *KeySets {
	if c.Report == nil {
		c.Report = func(string, Left, error) {}
	}
	k := &KeySets{client: client(c.Transport), through: c.Through, report: c.Report, sets: map[string]*KeySet{}}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// KeySet is one key set. It is the same for as long as tables have its ID.
type KeySet struct {
	id     string
	source *table.KeySet
	client *remote.Client
	state  atomic.Pointer[state]
	misses *misses // nil: the table itself has the keys

	failure atomic.Pointer[error] // of the last fetch; nil: there is none, or it went well
	stop    context.CancelFunc
	unused  bool // the last table did not have it
}

// state is the keys in force.
type state struct {
	keys     []auth.Key
	version  uint64
	fetched  time.Time
	metadata []byte // the issuer's, where the keys were discovered
	kept     bool   // it comes from Restore
}

// Keys implements auth.Keys.
func (s *KeySet) Keys() ([]auth.Key, uint64) {
	if now := s.state.Load(); now != nil {
		return now.keys, now.version
	}
	return nil, 0
}

// Metadata is the issuer's metadata document as last fetched (OpenID Connect
// Discovery, section 4); nil while there is none, or the keys are not discovered.
func (s *KeySet) Metadata() []byte {
	if now := s.state.Load(); now != nil {
		return now.metadata
	}
	return nil
}

// Miss implements auth.Keys.
func (s *KeySet) Miss(what string) (again bool, after time.Duration) {
	if s.misses == nil {
		return false, 0
	}
	return s.misses.miss(what)
}

// Set begins a table with its key sets. New ones are fetched at once, in the
// background. Those that two tables in a row do not have are dropped: one table
// of grace, for requests under way and for a table that is refused after all.
// A set whose source changed starts over, for its old keys are somebody else's.
func (k *KeySets) Set(sets []*table.KeySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	listed := make(map[string]bool, len(sets))
	for _, t := range sets {
		listed[t.ID] = true
		s := k.sets[t.ID]
		if s != nil && same(s.source, t) {
			s.unused = false
			continue
		}
		if s != nil {
			s.stop()
		}
		k.sets[t.ID] = k.start(t)
	}
	for id, s := range k.sets {
		switch {
		case listed[id]:
		case s.unused:
			s.stop()
			delete(k.sets, id)
		default:
			s.unused = true
		}
	}
}

// Get returns the set of that ID; nil when the table of the last Set has none.
func (k *KeySets) Get(id string) *KeySet {
	if s := k.sets[id]; s != nil && !s.unused {
		return s
	}
	return nil
}

// Each calls f with every set of the table that is fetched, and what it has.
func (k *KeySets) Each(f func(id string, left Left)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, s := range k.sets {
		if !s.unused && fetches(s.source) {
			f(id, s.left())
		}
	}
}

// Close stops fetching and waits until it has stopped.
func (k *KeySets) Close() {
	k.stop()
	k.done.Wait()
	k.client.Close()
}

func same(a, b *table.KeySet) bool {
	return a == b || a.URI == b.URI && a.Discovery == b.Discovery && bytes.Equal(a.Inline, b.Inline) &&
		a.Backend == b.Backend && a.Path == b.Path && slices.EqualFunc(a.Shared, b.Shared, sameShared)
}

func sameShared(a, b table.SharedKey) bool { return a.ID == b.ID && bytes.Equal(a.Secret, b.Secret) }

func (k *KeySets) start(t *table.KeySet) *KeySet {
	s := &KeySet{id: t.ID, source: t, client: k.client}
	ctx, stop := context.WithCancel(k.ctx)
	s.stop = stop
	if t.Backend != "" {
		s.client = client(endpoints{k.through, t.Backend})
	}
	if !fetches(t) {
		keys, err := own(t)
		if err == nil {
			s.state.Store(&state{keys: keys, version: k.last.Add(1), fetched: time.Now()})
		}
		k.report(t.ID, s.left(), err)
		return s
	}
	s.misses = newMisses()
	k.restore(s)
	k.done.Go(func() { k.keep(ctx, s) })
	return s
}

// own reads the keys that the table itself holds.
func own(t *table.KeySet) ([]auth.Key, error) {
	if len(t.Shared) > 0 {
		return Shared(t.Shared)
	}
	return Parse(t.Inline)
}

// keep fetches s until ctx ends. There is one of it per set, so a set is never
// fetched twice at a time.
func (k *KeySets) keep(ctx context.Context, s *KeySet) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	backoff, failures := remote.Backoff{First: firstRetry, Last: lastRetry}, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		s.misses.begin()
		had := s.version()
		fresh, err := k.refresh(ctx, s)
		if ctx.Err() != nil {
			s.misses.end(false, false, lastRetry)
			return
		}
		if err == nil {
			s.failure.Store(nil)
		} else {
			s.failure.Store(&err)
			s.expire()
		}
		left := s.left()
		left.Failed = failures
		k.report(s.id, left, err)
		if err != nil {
			// Misses do not hurry a provider that fails.
			failures++
			pause := backoff.After(failures)
			s.misses.end(false, false, pause)
			timer.Reset(pause)
			continue
		}
		failures = 0
		s.misses.end(true, s.version() != had, 0)
		if !s.rest(ctx, remote.Jitter(fresh)) {
			return
		}
		timer.Reset(0)
	}
}

func (s *KeySet) version() uint64 {
	_, version := s.Keys()
	return version
}

// rest waits until the set is due: after fresh, or sooner once a key is missed.
func (s *KeySet) rest(ctx context.Context, fresh time.Duration) bool {
	due := time.NewTimer(fresh)
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
	case <-s.misses.asked:
	}
	return true
}

// refresh fetches once and puts the keys in force. The version stays if they
// are what they were: what was verified with them stays verified.
func (k *KeySets) refresh(ctx context.Context, s *KeySet) (time.Duration, error) {
	got, err := fetch(ctx, s.client, s.source)
	if err != nil {
		return 0, err
	}
	// Some providers list their keys in another order each time.
	slices.SortStableFunc(got.keys, func(a, b auth.Key) int { return strings.Compare(a.ID, b.ID) })
	next := &state{keys: got.keys, fetched: time.Now(), metadata: got.metadata}
	if now := s.state.Load(); now != nil && equal(now.keys, got.keys) {
		next.version = now.version
	} else {
		next.version = k.last.Add(1)
	}
	s.state.Store(next)
	return got.fresh, nil
}

func equal(a, b []auth.Key) bool {
	return slices.EqualFunc(a, b, func(a, b auth.Key) bool {
		return a.ID == b.ID && slices.Equal(a.Algorithms, b.Algorithms) && a.Same(b)
	})
}
