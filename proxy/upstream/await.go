package upstream

import "time"

// Await is Fill, but looks every Config.Look whether the client is gone, and then
// returns ErrGone: it would else hold on to a backend that says nothing, such as one
// of server-sent events, for Config.ReadTimeout. It does not look where the answer's
// length is known, for that is on its way, nor over HTTP/2, where Fill is told.
func (c *Call) Await(gone func() bool) error {
	if c.stream != nil || c.in.mode == fixed {
		return c.Fill()
	}
	now := time.Now()
	end := c.exact
	if end.IsZero() {
		end = now.Add(c.cfg.ReadTimeout)
	}
	for {
		exact := end
		if end.Sub(now) > 2*c.cfg.Look {
			exact = time.Time{}
		}
		err := c.fill(now, exact, c.cfg.Look)
		if !Timeout(err) {
			return err
		}
		if now = time.Now(); !now.Before(end) {
			return err
		}
		if gone() {
			return ErrGone
		}
	}
}
