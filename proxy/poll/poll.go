// Package poll tells many descriptors' owners when there is something to do,
// with one goroutine for a good many descriptors in place of one for each.
//
// What holds connections that are quiet most of the time calls it; it calls
// nothing. It is made of Linux's epoll; where there is none (Available is false)
// New fails, and its callers go on with a goroutine for each connection.
//
// Each Loop is an epoll set and a goroutine. The goroutine never blocks a thread:
// the set's own descriptor is parked in the Go runtime's poller like any socket,
// and only once that says the set has events are they fetched, without waiting. A
// thread that blocks in epoll_wait would be taken its processor away each time, and
// costs twice as much at low rates.
//
// What the runtime's poller does not tell, this one does: that the peer has ended
// (EPOLLRDHUP), together with the last bytes that came. So a reader that got less
// than it asked for knows that there is no more, without asking again.
//
// Events come in batches. Who sends something for each of them can keep it (Loop.Keep)
// until all of the batch have been told, and so send it all without a break.
package poll

import (
	"errors"
	"runtime"
	"sync/atomic"
)

// Events is what a Handler is called for, one bit each.
type Events uint8

// The events. Ended and what follows come without being asked for.
const (
	Readable Events = 1 << iota
	Writable
	Ended  // the peer sends no more, or the connection has broken: read, until the end or the error
	Broken // beside Ended: it has broken
	Due    // the entry's time has come
	Closed // the Set closes, and the entry has been removed
)

// Wants is what is asked of a descriptor.
type Wants uint8

// What can be asked for. Every event is told once, when it begins (EPOLLET): the
// next one comes only after a read or a write has said EAGAIN, or took less than
// was asked for.
const (
	Read Wants = 1 << iota
	Write
	Once // after an event nothing more, until Again
)

// Handler hears of events.
type Handler interface {
	// Ready is called by the loop's goroutine, and must not wait for anything:
	// neither for a lock that is held while something is waited for, nor for a
	// channel, nor for a descriptor.
	Ready(ev Events)
}

// Entry is a descriptor in a loop, or a moment in time, or both. It is part of what its owner
// keeps for the descriptor, so that adding one makes no garbage. The zero value
// is in no loop.
type Entry struct {
	loop    *Loop
	handler Handler
	fd      int // -1: none
	events  uint32
	slot    uint32
	due     int64 // when the handler is to be called, since the loop's start; 0: never
	at      int   // where in the loop's heap, from 1; 0: it is not there
}

// ErrClosed says that the Set has been closed.
var ErrClosed = errors.New("poll: closed")

// Set is several loops.
type Set struct {
	loops []*Loop
	next  atomic.Uint32
}

// maxLoops bounds the loops.
const maxLoops = 16

// New starts a loop for each processor.
func New() (*Set, error) {
	s := &Set{}
	for range min(runtime.GOMAXPROCS(0), maxLoops) {
		l, err := newLoop()
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.loops = append(s.loops, l)
		go l.run()
	}
	return s, nil
}

// Loop returns one of the loops, in turn. What belongs together, such as two
// connections of which each gets what the other sends, goes to the same.
func (s *Set) Loop() *Loop { return s.loops[int(s.next.Add(1)%uint32(len(s.loops)))] }

// Each calls f for every handler, an entry at a time, on the goroutine of its loop.
// It returns at once. What has been added by then, and by tasks of Do, is seen.
func (s *Set) Each(f func(Handler)) {
	for _, l := range s.loops {
		l.Do(func() { l.each(func(_ *Entry, h Handler) { f(h) }) })
	}
}

// Close calls the handler of everything that is still in a loop with Closed, and
// returns when the loops have ended.
func (s *Set) Close() error {
	var err error
	for _, l := range s.loops {
		err = errors.Join(err, l.close())
	}
	return err
}
