package h2

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// relay is the way of an answer's content past Read. The connection's lock guards it.
type relay struct {
	to       exchange.Relay
	open     bool          // Read waits
	patience time.Duration // by which what goes this way moves the stream's time; 0: it does not
	passed   int64         // bytes that went this way
}

// Relay has the content of the answer go to r while Read waits, which returns what r has
// not taken. Content moves the stream's time to patience from then, unless that is 0.
func (s *Stream) Relay(r exchange.Relay, patience time.Duration) {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.relay.to, s.relay.patience = r, patience
}

// Passed returns how many bytes of the answer went past Read.
func (s *Stream) Passed() int64 {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.relay.passed
}

// relays reports whether content may go past Read now.
func (s *Stream) relays() bool {
	return s.relay.open && s.relay.to.To != nil && s.answer.queue.Empty()
}

// pass hands content on to the client's connection, or has Read return it. It is
// the reader's; the lock is held but for when the client's is, for the order is the
// client's first.
func (c *conn) pass(s *Stream, content []byte) {
	id, to := s.id, s.relay.to
	c.mu.Unlock()
	passed := to.Pass(content)
	c.mu.Lock()
	if s = c.find(id); s == nil { // it has been reset meanwhile, and s may be another's by now
		c.credit(int64(len(content)))
		return
	}
	if !passed {
		s.answer.queue.Put(content)
		s.reading.Signal()
		return
	}
	s.relay.passed += int64(len(content))
	if s.relay.patience > 0 {
		s.until = c.in.now.Add(s.relay.patience)
	}
	c.taken(s, int64(len(content)))
}

// Outlet returns the way for content past Write, for as long as no Write is under
// way; it leads nowhere as long as the request may be sent again.
func (s *Stream) Outlet() exchange.Relay {
	if s.keeping.Load() {
		return exchange.Relay{}
	}
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return exchange.Relay{To: c, Stream: s.id}
}

// Pass implements exchange.Outlet.
func (c *conn) Pass(stream uint32, p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(stream)
	if s == nil || s.sentLast || c.sendable(s, len(p)) < len(p) {
		return false
	}
	c.stageData(s, 0, p)
	c.flush()
	return true
}
