package http2

import (
	"encoding/binary"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// What ends a connection. Most of what RFC 9113 has as an error of the stream, and
// no client does by mistake in a request, is one of the connection here, as section
// 5.4.2 allows: it leaves little by which we can be made to reset streams.
var (
	errPreface    = &fault{frame.ProtocolError, "no HTTP/2 preface"}
	errFrameSize  = &fault{frame.FrameSizeError, "a frame of a wrong size"}
	errFirst      = &fault{frame.ProtocolError, "the first frame is not SETTINGS"}
	errStreamID   = &fault{frame.ProtocolError, "a frame for a stream that cannot have it"}
	errIdle       = &fault{frame.ProtocolError, "a frame for a stream that has not begun"}
	errClosed     = &fault{frame.StreamClosed, "a frame for a stream that has ended"}
	errInBlock    = &fault{frame.ProtocolError, "a header block is interrupted, or none has begun"}
	errPadding    = &fault{frame.ProtocolError, "more padding than payload"}
	errPriority   = &fault{frame.ProtocolError, "a stream that depends on itself"}
	errSetting    = &fault{frame.ProtocolError, "a setting with a value it cannot have"}
	errPush       = &fault{frame.ProtocolError, "PUSH_PROMISE from a client"}
	errIncrement  = &fault{frame.ProtocolError, "a window update of nothing"}
	errWindow     = &fault{frame.FlowControlError, "a window beyond its most, or more content than it allows"}
	errBlock      = &fault{frame.CompressionError, "a header block that cannot be decoded"}
	errBlockLong  = &fault{frame.EnhanceYourCalm, "a header block without end"}
	errManyIdle   = &fault{frame.EnhanceYourCalm, "too many frames that ask for nothing"}
	errManyResets = &fault{frame.EnhanceYourCalm, "too many streams that are reset or malformed"}
)

// frame takes one frame.
func (c *conn) frame(h *frame.Head, payload []byte) *fault {
	switch {
	case c.block.id != 0 && (h.Type != frame.Continuation || h.Stream != c.block.id):
		return errInBlock
	case !c.in.settled && h.Type != frame.Settings:
		return errFirst
	}
	switch h.Type {
	case frame.Data:
		return c.data(h, payload)
	case frame.Headers:
		return c.headers(h, payload)
	case frame.Priority:
		return c.priority(h, payload)
	case frame.ResetStream:
		return c.resetStream(h, payload)
	case frame.Settings:
		return c.settings(h, payload)
	case frame.PushPromise:
		return errPush
	case frame.Ping:
		return c.ping(h, payload)
	case frame.GoAway:
		return c.goAway(h, payload)
	case frame.WindowUpdate:
		return c.windowUpdate(h, payload)
	case frame.Continuation:
		return c.continuation(h, payload)
	}
	return c.useless(1) // of a type that we need not know (section 5.5)
}

// useless counts frames that bring no request on.
func (c *conn) useless(n int) *fault {
	if !c.flood.idle.Take(n, c.in.now) {
		return errManyIdle
	}
	return nil
}

// broken counts streams that came to nothing through the client.
func (c *conn) broken() *fault {
	if !c.flood.resets.Take(1, c.in.now) {
		return errManyResets
	}
	return nil
}

// data takes content to its stream.
func (c *conn) data(h *frame.Head, payload []byte) *fault {
	content, ok := frame.Unpad(h, payload)
	switch {
	case h.Stream == 0:
		return errStreamID
	case h.Stream > c.in.last:
		return errIdle
	case !ok:
		return errPadding
	}
	if len(content) == 0 && !h.Has(frame.EndStream) {
		if f := c.useless(1); f != nil {
			return f
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int64(h.Length)
	if n > c.window.recv {
		return errWindow
	}
	c.window.recv -= n
	st := c.streams.find(h.Stream)
	if st == nil || st.gone {
		c.credit(n)
		return c.late(st, h)
	}
	switch {
	case st.closed:
		return errClosed
	case n > st.window.recv:
		return errWindow
	}
	st.window.recv -= n
	return c.content(st, h, content)
}

// content gives st what it may have. The connection's lock is held.
func (c *conn) content(st *stream, h *frame.Head, content []byte) *fault {
	b, end := &st.body, h.Has(frame.EndStream)
	b.received += int64(len(content))
	if len(content) > 0 {
		c.flood.idle.Gain(idleGain(len(content)))
	}
	if b.declared >= 0 && (b.received > b.declared || end && b.received < b.declared) {
		c.credit(int64(h.Length))
		c.reset(st, frame.ProtocolError) // the request is malformed (section 8.1.1)
		return c.broken()
	}
	if st.closed = end; end {
		c.streams.settle(st)
	}
	unused := int64(h.Length - len(content))
	woken := true
	switch {
	case b.cancelled.Load():
		unused += int64(len(content))
	case !end && b.pass(content):
		woken = false
	default:
		b.queue.Put(content)
	}
	if unused > 0 {
		st.credit(unused)
	}
	if woken {
		b.wake.Signal()
	}
	return nil
}

// late judges a frame with content or fields for a stream that has ended. One we
// have reset goes on until the client knows. One that the client has reset is over,
// which is an error of the stream (section 5.1): grpc-java sends content behind its
// reset when a call ends while its first frames wait for room among the streams.
// The connection's lock is held.
func (c *conn) late(st *stream, h *frame.Head) *fault {
	e := c.streams.recall(h.Stream)
	if st != nil {
		e = &ending{ours: st.ours, theirs: !st.ours}
	}
	switch {
	case e == nil && h.Type == frame.Headers:
		return errStreamID
	case e == nil:
		return c.useless(1)
	case e.ours:
		return nil
	case e.theirs:
		c.stage(frame.AppendReset(c.staged(), h.Stream, frame.StreamClosed))
		return c.useless(1)
	}
	return errClosed
}

func (c *conn) priority(h *frame.Head, payload []byte) *fault {
	switch {
	case h.Stream == 0:
		return errStreamID
	case len(payload) != 5:
		return errFrameSize
	case binary.BigEndian.Uint32(payload)&frame.MaxStream == h.Stream:
		return errPriority
	}
	return c.useless(1)
}

func (c *conn) resetStream(h *frame.Head, payload []byte) *fault {
	switch {
	case h.Stream == 0:
		return errStreamID
	case len(payload) != 4:
		return errFrameSize
	case h.Stream > c.in.last:
		return errIdle
	}
	c.mu.Lock()
	st := c.streams.find(h.Stream)
	early := st != nil && !st.gone && !st.writer.begun && c.in.now.Sub(st.Exchange.Start) < frame.ResetSoon
	if st != nil && !st.gone {
		c.abandon(st)
	}
	c.mu.Unlock()
	if early {
		return c.broken()
	}
	return c.useless(1)
}

// maxSettings bounds a SETTINGS frame: each entry may cost a look at every stream.
const maxSettings = 64

func (c *conn) settings(h *frame.Head, payload []byte) *fault {
	switch {
	case h.Stream != 0:
		return errStreamID
	case h.Has(frame.Ack) && len(payload) > 0 || len(payload)%6 != 0:
		return errFrameSize
	case len(payload) > 6*maxSettings:
		return errManyIdle
	}
	if c.in.settled {
		if f := c.useless(1 + len(payload)/6); f != nil {
			return f
		}
	} else if h.Has(frame.Ack) {
		return errFirst
	}
	c.in.settled = true
	if h.Has(frame.Ack) {
		c.in.acked = true
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(payload) > 0; payload = payload[6:] {
		id, v := frame.Setting(binary.BigEndian.Uint16(payload)), binary.BigEndian.Uint32(payload[2:])
		if f := c.set(id, v); f != nil {
			return f
		}
	}
	c.stage(frame.Append(c.staged(), frame.Head{Type: frame.Settings, Flags: frame.Ack}))
	return nil
}

// set heeds one setting of the client's.
func (c *conn) set(id frame.Setting, v uint32) *fault {
	switch id {
	case frame.HeaderTableSize:
		c.peer.shrunk = c.peer.shrunk || v < frame.TableSize
	case frame.EnablePush:
		if v > 1 {
			return errSetting
		}
	case frame.NoPriorities:
		if v > 1 {
			return errSetting // RFC 9218, section 2.1
		}
	case frame.InitialWindowSize:
		if v > frame.MaxWindow {
			return errWindow
		}
		return c.resize(int64(v))
	case frame.MaxFrameSize:
		if v < frame.MinMaxSize || v > frame.MaxMaxSize {
			return errSetting
		}
		c.peer.frame = min(int(v), mem.Large) // what is staged at a time has not more
	}
	return nil
}

// resize moves the windows of all streams (section 6.9.2).
func (c *conn) resize(to int64) (f *fault) {
	by := to - c.peer.window
	c.peer.window = to
	c.streams.each(func(st *stream) {
		if st.window.send += by; st.window.send > frame.MaxWindow {
			f = errWindow
		}
		st.writer.wake.Signal()
	})
	return f
}

func (c *conn) ping(h *frame.Head, payload []byte) *fault {
	switch {
	case h.Stream != 0:
		return errStreamID
	case len(payload) != 8:
		return errFrameSize
	}
	c.mu.Lock()
	if !h.Has(frame.Ack) {
		c.stage(frame.AppendPing(c.staged(), frame.Ack, payload))
	} else if string(payload) == pong {
		c.settle()
	}
	c.mu.Unlock()
	return c.useless(1)
}

// goAway takes what a client says that will take no pushes: nothing follows from it.
func (c *conn) goAway(h *frame.Head, payload []byte) *fault {
	switch {
	case h.Stream != 0:
		return errStreamID
	case len(payload) < 8:
		return errFrameSize
	}
	return c.useless(1)
}

func (c *conn) windowUpdate(h *frame.Head, payload []byte) *fault {
	if len(payload) != 4 {
		return errFrameSize
	}
	n := int64(binary.BigEndian.Uint32(payload) & frame.MaxWindow)
	switch {
	case n == 0:
		return errIncrement
	case h.Stream > c.in.last:
		return errIdle
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Stream == 0 {
		if c.window.send += n; c.window.send > frame.MaxWindow {
			return errWindow
		}
		c.unblock()
	} else if st := c.streams.find(h.Stream); st != nil && !st.gone {
		if st.window.send += n; st.window.send > frame.MaxWindow {
			c.reset(st, frame.FlowControlError)
			return c.broken()
		}
		st.writer.wake.Signal()
	}
	return c.returned()
}

// returned counts an update of a window. One for content that was sent is no flood, however
// late it comes: a client that was busy meanwhile takes megabytes of it at a time. The lock
// is held.
func (c *conn) returned() *fault {
	c.gather()
	if c.flood.owed == 0 {
		return c.useless(1)
	}
	c.flood.owed--
	return nil
}
