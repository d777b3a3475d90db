package upstream

import "time"

// Await is Fill, but looks every Config.Look whether the client is gone, and then
// returns ErrGone: it would else hold on to a backend that says nothing, such as one
// that thinks about its answer or sends events, for Config.ReadTimeout. Where a look
// costs nothing it looks sooner at first. Over HTTP/2 it is the stream that looks, unless its context tells.
func (c *Call) Await(gone func() bool) error {
	if c.stream != nil || gone == nil {
		return c.Fill()
	}
	now := time.Now()
	end := c.end(now)
	for {
		err := c.fill(now, c.soon(now), c.look)
		if !Timeout(err) {
			return err
		}
		c.rarer()
		if now = time.Now(); !now.Before(end) {
			if !c.exact.IsZero() || !c.moved.Swap(false) {
				return err
			}
			end = c.end(now) // it waits for the rest of the request, not we for the backend
		}
		if gone() {
			return ErrGone
		}
	}
}

// firstLook is when the client of a call is looked at first where that costs nothing,
// for it shares its connection with the requests of others: those that it has given
// up count against what may be open on it until somebody looks.
const firstLook = 100 * time.Millisecond

// rarer has each look of a call come after twice the time of the one before: who has
// waited long is likely to wait on, and a wait is cut short for each.
func (c *Call) rarer() { c.look = min(2*c.look, c.cfg.Look) }

// end is when a wait that begins now must be over.
func (c *Call) end(now time.Time) time.Time {
	if c.exact.IsZero() {
		return now.Add(c.cfg.ReadTimeout)
	}
	return c.exact
}

// soon is when the wait must be over, where that leaves no time for a look before.
func (c *Call) soon(now time.Time) time.Time {
	if c.exact.IsZero() || c.exact.Sub(now) > 2*c.look {
		return time.Time{}
	}
	return c.exact
}
