package admission

import "sync/atomic"

// Content is the room for content of requests that is held in memory until somebody has
// looked at the whole of it: of all requests together. It implements exchange.Held.
type Content struct {
	limit   int64
	in      atomic.Int64
	refused atomic.Uint64
	turns   chan struct{}
}

// NewContent returns room for limit bytes, of which so many requests may have taken
// apart what they hold at one time.
func NewContent(limit, turns int) *Content {
	return &Content{limit: int64(limit), turns: make(chan struct{}, max(1, turns))}
}

// Take implements exchange.Held.
func (c *Content) Take(n int) bool {
	if c.in.Add(int64(n)) <= c.limit {
		return true
	}
	c.refused.Add(1)
	return false
}

// Give implements exchange.Held.
func (c *Content) Give(n int) { c.in.Add(int64(-n)) }

// Enter implements exchange.Held.
func (c *Content) Enter() { c.turns <- struct{}{} }

// Leave implements exchange.Held.
func (c *Content) Leave() { <-c.turns }

// Busy reports whether more than three quarters of the room are taken.
func (c *Content) Busy() bool { return c.in.Load() > c.limit/4*3 }

// Figures returns how full it is, in bytes.
func (c *Content) Figures() Figures {
	return Figures{Limit: int(c.limit), In: int(c.in.Load()), Refused: c.refused.Load()}
}
