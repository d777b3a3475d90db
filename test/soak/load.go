package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// kind is one client of one protocol, with connections of its own.
type kind struct {
	name string
	once func(ctx context.Context) error // one request, and a look at its answer
	rest func()                          // closes what is idle
}

// load is all clients.
type load struct {
	site  *site
	kinds []*kind // each is used by one goroutine at a time
	done  atomic.Int64
	rude  atomic.Int64

	mu    sync.Mutex
	per   map[string]int64 // answers that were right
	wrong map[string]int64 // by what was wrong
}

// perKind is how many clients of each protocol there are.
const perKind = 5

func newLoad(s *site) *load {
	l := &load{site: s, per: map[string]int64{}, wrong: map[string]int64{}}
	for range perKind {
		l.kinds = append(l.kinds, s.http1(), s.overTLS(), s.http2(), s.http3(), s.grpc(), s.webSocket(), s.relay())
	}
	return l
}

func (l *load) close() { l.rest() }

// rest closes the connections of clients that do nothing now.
func (l *load) rest() {
	for _, k := range l.kinds {
		k.rest()
	}
}

// run makes requests for d: rate a second, or as many as there can be for a rate of
// 0. With a site there are callers without manners too.
func (l *load) run(ctx context.Context, d time.Duration, rate float64, s *site) error {
	during, stop := context.WithTimeout(ctx, d)
	defer stop()
	var running sync.WaitGroup
	var slot atomic.Int64
	began := time.Now()
	next := func() bool {
		if rate > 0 {
			due := began.Add(time.Duration(float64(slot.Add(1)) / rate * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-during.Done():
			}
		}
		return during.Err() == nil
	}
	for _, k := range l.kinds {
		running.Go(func() {
			for next() {
				// The request that the end falls into is finished.
				l.note(k.name, k.once(ctx))
				if rand.IntN(200) == 0 {
					k.rest()
				}
			}
		})
	}
	if s != nil {
		for _, f := range s.manners() {
			running.Go(func() {
				for during.Err() == nil {
					l.rude.Add(1)
					if err := f.once(); err != nil {
						l.note(f.name, err)
					}
					select {
					case <-time.After(time.Duration(100+rand.IntN(200)) * time.Millisecond):
					case <-during.Done():
					}
				}
			})
		}
	}
	running.Wait()
	return ctx.Err()
}

func (l *load) note(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.done.Add(1)
		l.per[name]++
	case errors.Is(err, context.Canceled):
	default:
		what := fmt.Sprintf("%s: %.200v", name, err)
		if l.wrong[what] == 0 && len(l.wrong) < 20 {
			progress("wrong: %s", what)
		}
		if len(l.wrong) < 1000 {
			l.wrong[what]++
		}
	}
}

func (l *load) counts() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.per
}

func (l *load) faults() (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for what, n := range l.wrong {
		faults = append(faults, fmt.Sprintf("%d times %s", n, what))
	}
	return faults
}
