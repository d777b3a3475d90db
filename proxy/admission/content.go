package admission

import "sync/atomic"

// Room is memory, or places, that many share, each as much as is left. It implements exchange.Count.
type Room struct {
	limit   int64 // 0: any number
	in      atomic.Int64
	refused atomic.Uint64
}

// NewRoom returns room for limit bytes, or places; not above 0: for any number.
func NewRoom(limit int) *Room { return &Room{limit: max(0, int64(limit))} }

// Take takes n of them, and reports whether there was room. They are counted
// either way, until Give.
func (r *Room) Take(n int) bool {
	if in := r.in.Add(int64(n)); in <= r.limit || r.limit == 0 {
		return true
	}
	r.refused.Add(1)
	return false
}

// Give gives back what Take was called with.
func (r *Room) Give(n int) { r.in.Add(int64(-n)) }

// Busy reports whether more than three quarters of the room are taken.
func (r *Room) Busy() bool { return r.limit > 0 && r.in.Load() > r.limit/4*3 }

// Figures returns how full it is.
func (r *Room) Figures() Figures {
	return Figures{Limit: int(r.limit), In: int(r.in.Load()), Refused: r.refused.Load()}
}

// Content is the room for content of requests that is held in memory until somebody has
// looked at the whole of it: of all requests together. It implements exchange.Held.
type Content struct {
	Room
	large, small chan struct{} // who takes content apart
}

// largeContent is content that takes a processor for long when it is taken apart, and much memory.
const largeContent = 16 << 10

// NewContent returns room for limit bytes, of which so many requests may have taken
// apart what they hold at one time.
func NewContent(limit int, t Turns) *Content {
	return &Content{Room: Room{limit: int64(limit)}, large: make(chan struct{}, max(1, t.Large)), small: make(chan struct{}, max(1, t.Small))}
}

// Enter implements exchange.Held. What is small does not wait for what is large.
func (c *Content) Enter(n int) { c.turns(n) <- struct{}{} }

// Leave implements exchange.Held.
func (c *Content) Leave(n int) { <-c.turns(n) }

func (c *Content) turns(n int) chan struct{} {
	if n > largeContent {
		return c.large
	}
	return c.small
}
