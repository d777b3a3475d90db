package http2

import (
	"context"
	"slices"
	"sync"
	"time"
)

// client is the context.Context of a stream: it ends when the stream does, or
// before that when the client goes. It costs nothing until somebody asks to be told.
type client struct {
	mu   sync.Mutex
	done chan struct{} // nil until asked for
	told []chan<- struct{}
	err  error
}

// Deadline implements context.Context: there is none.
func (c *client) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context: there are none.
func (c *client) Value(any) any { return nil }

// Done implements context.Context.
func (c *client) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Watch has c signalled when the context ends, for those who look at Err then: it
// costs less than Done. The channel has room for a signal.
func (c *client) Watch(w chan<- struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, w)
}

// Unwatch ends that.
func (c *client) Unwatch(w chan<- struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = slices.DeleteFunc(c.told, func(one chan<- struct{}) bool { return one == w })
}

// cancel ends the context.
func (c *client) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		if c.done != nil {
			close(c.done)
		}
		for _, w := range c.told {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
}

// again returns a context for the next stream: c itself if nobody can be holding
// on to it.
func (c *client) again() *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return &client{}
	}
	c.err, c.told = nil, c.told[:0]
	return c
}
