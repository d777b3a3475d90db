package h2

import (
	"encoding/binary"
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// What a backend does that ends its connection.
var (
	errFrameSize = errors.New("h2: a frame of a wrong size")
	errProtocol  = errors.New("h2: the backend does not keep to HTTP/2")
	errFlow      = errors.New("h2: the backend sends more than it may, or takes more than there can be")
	errBlock     = errors.New("h2: a header block that cannot be decoded")
	errLong      = errors.New("h2: a header block without end")
)

// What it does that ends a stream.
var (
	errReset       = errors.New("h2: the backend has reset the stream")
	errMalformed   = errors.New("h2: the answer is malformed")
	errFields      = errors.New("h2: the answer has too many fields, or too large ones")
	errUnprocessed = errors.New("h2: the backend has not looked at the request")
)

// errHead is the answer to a request that the backend says it does not take. Netty,
// and with it grpc-java, would end the connection, and all other requests with it.
var errHead error = &exchange.Error{Status: 431, Code: "backend_header_too_large", Detail: "the request's head is larger than the backend takes"}

// errCancelled is the answer to a request that the backend has given up, as servers of
// gRPC do when a call's time is over.
var errCancelled error = &exchange.Error{Status: 502, Code: "backend_cancelled", Detail: "the backend has given the request up"}

// frame takes one frame.
func (c *conn) frame(h *frame.Head, payload []byte) error {
	switch {
	case c.block.id != 0 && (h.Type != frame.Continuation || h.Stream != c.block.id):
		return errProtocol
	case !c.peer.settled && h.Type != frame.Settings:
		return errProtocol
	}
	switch h.Type {
	case frame.Data:
		c.in.pings = pings{}
		return c.data(h, payload)
	case frame.Headers:
		c.in.pings = pings{}
		return c.headers(h, payload)
	case frame.Continuation:
		if c.block.id == 0 {
			return errProtocol
		}
		return c.fragment(h, payload)
	case frame.PushPromise:
		return errProtocol // we have said that we take none
	case frame.ResetStream, frame.WindowUpdate:
		if len(payload) != 4 {
			return errFrameSize
		}
	case frame.Ping:
		if len(payload) != 8 {
			return errFrameSize
		}
	case frame.GoAway:
		if len(payload) < 8 {
			return errFrameSize
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Stream > 0 && h.Stream >= c.next && h.Type != frame.Priority && h.Type <= frame.Continuation {
		return errProtocol
	}
	return c.control(h, payload)
}

// control takes a frame that has no content and no fields. The connection's lock is held.
func (c *conn) control(h *frame.Head, payload []byte) error {
	switch h.Type {
	case frame.Settings:
		return c.settings(h, payload)
	case frame.ResetStream:
		if s := c.find(h.Stream); s != nil {
			err := errReset
			switch frame.Code(binary.BigEndian.Uint32(payload)) {
			case frame.RefusedStream:
				err = errUnprocessed
			case frame.Cancel:
				err = errCancelled
			}
			c.end(s, err, false)
		}
	case frame.WindowUpdate:
		return c.windowUpdate(h.Stream, int64(binary.BigEndian.Uint32(payload)&frame.MaxWindow))
	case frame.Ping:
		if !h.Has(frame.Ack) {
			c.out.staged = frame.AppendPing(c.staged(), frame.Ack, payload)
			return c.acknowledged()
		}
	case frame.GoAway:
		last := binary.BigEndian.Uint32(payload) & frame.MaxStream
		c.state.leaving = true
		c.each(func(s *Stream) {
			if s.id > last {
				c.end(s, errUnprocessed, false)
			}
		})
		if c.count == 0 {
			return errLost
		}
	}
	return nil
}

func (c *conn) windowUpdate(stream uint32, n int64) error {
	if stream == 0 {
		if c.window.send += n; n == 0 || c.window.send > frame.MaxWindow {
			return errFlow
		}
		c.unblock()
	} else if s := c.find(stream); s != nil {
		if s.window.send += n; n == 0 || s.window.send > frame.MaxWindow {
			c.abort(s, errFlow, frame.FlowControlError)
		}
		s.writing.Signal()
	}
	return nil
}

func (c *conn) settings(h *frame.Head, payload []byte) error {
	switch {
	case h.Stream != 0 || h.Has(frame.Ack) && !c.peer.settled:
		return errProtocol
	case len(payload)%6 != 0 || h.Has(frame.Ack) && len(payload) > 0:
		return errFrameSize
	case h.Has(frame.Ack):
		return nil
	}
	if !c.peer.settled { // there is no limit until it says one (section 6.5.2)
		c.peer.settled, c.peer.streams = true, frame.MaxStream
	}
	for ; len(payload) > 0; payload = payload[6:] {
		v := binary.BigEndian.Uint32(payload[2:])
		switch frame.Setting(binary.BigEndian.Uint16(payload)) {
		case frame.HeaderTableSize:
			c.peer.shrunk = c.peer.shrunk || v < frame.TableSize
		case frame.MaxConcurrentStreams:
			c.peer.streams = int(min(v, frame.MaxStream))
		case frame.InitialWindowSize:
			if v > frame.MaxWindow {
				return errFlow
			}
			by := int64(v) - c.peer.window
			c.peer.window = int64(v)
			c.each(func(s *Stream) {
				s.window.send += by
				s.writing.Signal()
			})
		case frame.MaxFrameSize:
			if v < frame.MinMaxSize || v > frame.MaxMaxSize {
				return errProtocol
			}
			c.peer.frame = min(int(v), mem.Large)
		case frame.MaxHeaderListSize:
			c.peer.head = int64(v)
		}
	}
	c.out.staged = frame.Append(c.staged(), frame.Head{Type: frame.Settings, Flags: frame.Ack})
	return c.acknowledged()
}

// acknowledged counts an acknowledgement that was staged: of these a backend that
// does not read could have us keep any number.
func (c *conn) acknowledged() error {
	if c.out.acks++; c.out.acks > maxAcks {
		return errProtocol
	}
	return nil
}

// data takes content to its stream.
func (c *conn) data(h *frame.Head, payload []byte) error {
	content, ok := frame.Unpad(h, payload)
	if !ok || h.Stream == 0 {
		return errProtocol
	}
	n := int64(h.Length)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > c.window.recv {
		return errFlow
	}
	c.window.recv -= n
	s := c.find(h.Stream)
	switch {
	case s == nil && h.Stream >= c.next:
		return errProtocol
	case s == nil: // we have reset it, and the backend does not know yet
		c.credit(n)
		return nil
	case n > s.window.recv:
		return errFlow
	}
	s.window.recv -= n
	c.credit(n - int64(len(content)))
	s.window.used += n - int64(len(content))
	r := &s.answer
	r.received += int64(len(content))
	end := h.Has(frame.EndStream)
	if r.headed && s.method == "HEAD" && len(content) > 0 {
		c.excess(s, len(content), end)
		return nil
	}
	if !r.headed || r.noBody && len(content) > 0 || r.length >= 0 && !r.noBody && (r.received > r.length || end && r.received < r.length) {
		c.credit(int64(len(content)))
		c.abort(s, errMalformed, frame.ProtocolError)
		return nil
	}
	if !end && s.relays() {
		c.pass(s, content)
		return nil
	}
	r.queue.Put(content)
	if end {
		c.end(s, nil, true)
	}
	s.reading.Signal()
	return nil
}

// excess drops content of an answer to HEAD: many servers leave it to the application not to
// send any, and the answer, which its head is all of, is as good. The connection's lock is held.
func (c *conn) excess(s *Stream, n int, end bool) {
	c.credit(int64(n))
	if end {
		c.end(s, nil, true)
	} else {
		c.abort(s, nil, frame.Cancel)
	}
}
