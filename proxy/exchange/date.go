package exchange

import (
	"sync/atomic"
	"time"
)

// Clock makes the values of Date fields (RFC 9110, section 6.6.1), each once a
// second. Its zero value is ready.
type Clock struct{ now atomic.Pointer[second] }

// second is the value for one second.
type second struct {
	unix int64
	text string
}

// Date returns the Date field's value at t.
func (c *Clock) Date(t time.Time) string {
	s := c.now.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &second{unix, t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
		c.now.Store(s)
	}
	return s.text
}
