package http2

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// relay is the way of a request's content past Next. The connection's lock guards it.
type relay struct {
	to     exchange.Relay
	open   bool      // Next waits
	passed time.Time // when content last went this way
}

// Relay implements exchange.Relayed: for messages, whose content has neither a
// limit nor a pace. Other content all comes out of Next, which holds it to both.
func (b *body) Relay(r exchange.Relay) {
	if !b.messages {
		return
	}
	c := b.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b.relay.to = r
}

// pass hands content on to the backend's connection, and reports whether it could.
// The lock is held, the client's before the backend's.
func (b *body) pass(content []byte) bool {
	if !b.relay.open || !b.queue.Empty() || len(content) == 0 || !b.relay.to.Pass(content) {
		return false
	}
	b.total += int64(len(content))
	b.relay.passed = b.st.c.in.now
	b.st.credit(int64(len(content)))
	return true
}

// Relay implements exchange.Relayer.
func (w *writer) Relay() exchange.Relay { return exchange.Relay{To: w.st.c, Stream: w.st.id} }

// Pass implements exchange.Outlet.
func (c *conn) Pass(stream uint32, p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams.find(stream)
	if st == nil || st.gone || c.sendable(st, len(p)) < len(p) {
		return false
	}
	w := &st.writer
	if w.state != staged || w.noBody || w.left >= 0 && w.left < int64(len(p)) {
		return false
	}
	if w.left >= 0 {
		w.left -= int64(len(p))
	}
	w.data(p)
	c.flush()
	return true
}
