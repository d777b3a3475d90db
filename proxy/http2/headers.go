package http2

import (
	"encoding/binary"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/section"
	"golang.org/x/net/http2/hpack"
)

// block is a header block on its way in.
type block struct {
	id     uint32 // its stream; 0 for none
	kind   kind
	end    bool    // the stream ends with it
	st     *stream // of a request
	bytes  int     // compressed
	frames int
	size   int  // decompressed so far, as section 6.5.2 counts
	bomb   bool // that is many times what may be
	fields section.Section
}

// kind is what a header block is.
type kind uint8

const (
	request kind = iota
	trailer
	ignored // of a stream that we have reset: it is decoded, for it may change the table
)

// maxTimes is how long a block may be, in heads that are allowed, for one that is
// too large to be answered 431 and not with the end of the connection.
const maxTimes = 4

// bombTimes is how large a block may be, decoded, in heads that are allowed, for one that
// is only too large. More comes from entries of the table that are referred to again
// and again.
const bombTimes = 8

// headers begins a header block.
func (c *conn) headers(h *frame.Head, payload []byte) *fault {
	fragment, ok := frame.Unpad(h, payload)
	switch {
	case h.Stream%2 == 0:
		return errStreamID
	case !ok:
		return errPadding
	}
	if h.Has(frame.HasPriority) {
		if len(fragment) < 5 {
			return errFrameSize
		}
		if binary.BigEndian.Uint32(fragment)&frame.MaxStream == h.Stream {
			return errPriority
		}
		fragment = fragment[5:]
	}
	b := &c.block
	b.end, b.bytes, b.frames, b.size, b.bomb = h.Has(frame.EndStream), 0, 0, 0, false
	b.fields.Begin()
	if h.Stream > c.in.last {
		c.in.last = h.Stream
		b.kind, b.st = request, getStream(c, h.Stream)
	} else {
		var f *fault
		if b.kind, f = c.again(h); f != nil {
			return f
		}
	}
	b.id = h.Stream
	c.dec.SetEmitEnabled(b.kind != ignored)
	return c.fragment(h, fragment)
}

// again says what a header block is whose stream has begun before.
func (c *conn) again(h *frame.Head) (kind, *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams.find(h.Stream)
	switch {
	case st == nil || st.gone:
		return ignored, c.late(st, h)
	case st.closed:
		return ignored, errClosed
	case !h.Has(frame.EndStream):
		c.reset(st, frame.ProtocolError) // a trailer section is the last thing (section 8.1)
		return ignored, c.broken()
	}
	return trailer, nil
}

func (c *conn) continuation(h *frame.Head, payload []byte) *fault {
	if c.block.id == 0 {
		return errInBlock
	}
	if f := c.useless(1); f != nil {
		return f
	}
	return c.fragment(h, payload)
}

// fragment decodes a part of the block, and uses it when that was the last.
func (c *conn) fragment(h *frame.Head, fragment []byte) *fault {
	b := &c.block
	b.bytes += len(fragment)
	b.frames++
	if b.frames > c.cfg.Floods.Block || b.bytes > maxTimes*max(c.cfg.Limits.Head, frame.MinMaxSize) {
		c.forget()
		return errBlockLong
	}
	if _, err := c.dec.Write(fragment); err != nil {
		c.forget()
		return errBlock
	}
	if !h.Has(frame.EndHeaders) {
		return nil
	}
	if c.dec.Close() != nil {
		c.forget()
		return errBlock
	}
	b.id = 0
	switch b.kind {
	case request:
		st := b.st
		b.st = nil
		return c.request(st)
	case trailer:
		return c.trailer(h.Stream)
	}
	return nil
}

// forget gives back the stream of a block that was not completed.
func (c *conn) forget() {
	if st := c.block.st; st != nil {
		c.block.st = nil
		putStream(st)
	}
}

// field takes one field; hpack calls it.
func (c *conn) field(f hpack.HeaderField) {
	b, l := &c.block, &c.cfg.Limits
	if b.size += section.Size(f.Name, f.Value); b.size > l.Head {
		b.fields.Bad = section.ErrTooLong
		if b.size > bombTimes*l.Head {
			b.bomb = true
			c.dec.SetEmitEnabled(false)
		}
		return
	}
	if b.kind == trailer {
		b.fields.Late(l.Fields, f.Name, f.Value)
	} else if b.kind == request {
		b.fields.Take(&b.st.Exchange, l.Fields, f.Name, f.Value)
	}
}

// request begins the stream of a request whose head is complete.
func (c *conn) request(st *stream) *fault {
	if c.crowded() {
		c.mu.Lock()
		c.refuse(st)
		c.mu.Unlock()
		return nil
	}
	st.bad = st.fill(&c.block)
	c.flood.idle.Gain(idleRequest)
	c.mu.Lock()
	switch {
	case c.drain.state == final: // the client has been told that it will not be looked at, and may not know yet
		c.streams.note(ending{id: st.id, ours: true})
		c.mu.Unlock()
		putStream(st)
		return nil
	case c.streams.full(int(c.cfg.Streams)):
		c.refuse(st)
		late := !c.streams.taken(int(c.cfg.Streams))
		c.mu.Unlock()
		if late || !c.in.acked { // it is handlers that are late, or the client cannot know yet how many there may be
			return c.useless(1 + idleRequest)
		}
		return c.broken()
	}
	st.window = window{send: c.peer.window, recv: int64(c.cfg.Buffers.Stream)}
	st.closed = c.block.end
	c.streams.add(st)
	c.mu.Unlock()
	c.in.taken = st.id
	c.in.begun = append(c.in.begun, st)
	if c.block.bomb || st.bad != nil && st.bad.Status == 400 {
		return c.broken()
	}
	return nil // another 4xx is an answer like any
}

// crowded reports whether another request is too many: an answer would hold memory, where that is
// short, for as long as the client does not take it, and where many connections are read
// one after the other, goroutines are started for all their requests before one of them runs.
func (c *conn) crowded() bool {
	return c.cfg.Full != nil && c.cfg.Full() || c.cfg.Waiting > 0 && int(c.srv.waiting.Load()) >= c.cfg.Waiting
}

// refuse tells the client that st, which is not open, has not been looked at. The
// connection's lock is held.
func (c *conn) refuse(st *stream) {
	c.stage(frame.AppendReset(c.staged(), st.id, frame.RefusedStream))
	c.streams.note(ending{id: st.id, ours: true})
	putStream(st)
}

// fill makes the exchange the request that has been decoded.
func (st *stream) fill(b *block) *exchange.Error {
	x, f := &st.Exchange, &b.fields
	q, cfg := &x.Request, st.c.cfg
	x.Start = st.c.in.now
	err := f.Fill(x, &st.head, cfg.Limits, b.end)
	st.body.declared = f.Length
	if b.end || f.Length == 0 {
		return err
	}
	q.ContentLength = f.Length
	st.body.begin(f.Length, f.Expect) // of a request that is refused, for linger
	q.Body = &st.body
	if err == nil && cfg.MaxBody > 0 && f.Length > cfg.MaxBody {
		return errTooLarge
	}
	return err
}

// complete says how long content is that was not declared, when all of it is there
// before anybody has asked: it can be sent on in one piece, and once more. A trailer
// section needs content whose length is not known.
func (st *stream) complete() {
	q := &st.Exchange.Request
	if q.Body == nil || q.ContentLength >= 0 || !st.closed || len(q.Trailer) > 0 {
		return
	}
	if q.ContentLength = st.body.received; q.ContentLength == 0 {
		q.Body = nil
	}
}

// trailer ends a request's content with a trailer section.
func (c *conn) trailer(id uint32) *fault {
	f := &c.block.fields
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams.find(id)
	if st == nil || st.gone {
		return nil
	}
	b := &st.body
	if f.Bad != nil || b.declared >= 0 && b.received < b.declared {
		c.reset(st, frame.ProtocolError)
		return c.broken()
	}
	st.Exchange.Request.Trailer = append(st.Exchange.Request.Trailer[:0], f.Trailer...)
	st.closed = true
	c.streams.settle(st)
	b.wake.Signal()
	return nil
}
