package h2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// maxInterim is how many 1xx answers a backend may send before its final one.
const maxInterim = 16

// answer is what has come for a stream. The connection's lock guards it.
type answer struct {
	headed   bool // the head is there
	noBody   bool // content cannot follow: an answer to HEAD, or 204 or 304
	interim  int
	status   int
	length   int64 // Content-Length; -1 for none
	received int64
	head     exchange.Header
	trailer  exchange.Header
	queue    mem.Queue
}

func (a *answer) reset() {
	clear(a.head)
	clear(a.trailer)
	*a = answer{length: -1, head: a.head[:0], trailer: a.trailer[:0], queue: a.queue}
}

// block is a header block on its way in.
type block struct {
	id     uint32 // its stream; 0 for none
	end    bool   // the stream ends with it
	bytes  int    // compressed
	size   int    // decompressed, as section 6.5.2 counts
	status int    // 0 for none
	length int64  // -1 for none
	plain  bool   // a field that is no pseudo-header field has come
	fields exchange.Header
	err    error // what is wrong with the answer
}

// maxTimes is how many times the head that is allowed a block may have, compressed,
// before it is the connection that ends.
const maxTimes = 4

// headers begins a header block.
func (c *conn) headers(h *frame.Head, payload []byte) error {
	fragment, ok := frame.Unpad(h, payload)
	if ok && h.Has(frame.HasPriority) {
		if ok = len(fragment) >= 5; ok {
			fragment = fragment[5:]
		}
	}
	c.mu.Lock()
	known := h.Stream < c.next
	c.mu.Unlock()
	if !ok || h.Stream%2 == 0 || !known {
		return errProtocol
	}
	c.block = block{id: h.Stream, end: h.Has(frame.EndStream), length: -1, fields: c.block.fields[:0]}
	c.dec.SetEmitEnabled(true)
	return c.fragment(h, fragment)
}

// fragment decodes a part of the block, and uses it when that was the last.
func (c *conn) fragment(h *frame.Head, fragment []byte) error {
	b := &c.block
	if b.bytes += len(fragment) + frame.HeadSize; b.bytes > maxTimes*max(int(c.dialer.cfg.Head), frame.MinMaxSize) {
		return errLong
	}
	if _, err := c.dec.Write(fragment); err != nil {
		return errBlock
	}
	if !h.Has(frame.EndHeaders) {
		return nil
	}
	if c.dec.Close() != nil {
		return errBlock
	}
	b.id = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.find(h.Stream); s != nil { // else we have reset it
		if err := s.take(b); err != nil {
			c.abort(s, err, frame.ProtocolError)
		} else if b.end {
			c.end(s, nil, true)
		}
		s.reading.Signal()
	}
	return nil
}

// field takes one field; hpack calls it.
func (c *conn) field(f hpack.HeaderField) {
	b := &c.block
	if b.size += len(f.Name) + len(f.Value) + 32; b.size > int(c.dialer.cfg.Head) || len(b.fields) >= c.dialer.cfg.Fields {
		b.err = errFields
		c.dec.SetEmitEnabled(false)
		return
	}
	status := f.Name == ":status"
	b.plain = b.plain || !status
	switch {
	case status:
		if b.status > 0 || b.plain || len(f.Value) != 3 || f.Value[0] < '1' || f.Value[0] > '5' {
			b.err = errMalformed
			return
		}
		n, err := strconv.Atoi(f.Value)
		if err != nil {
			b.err = errMalformed
		}
		b.status = n
	case !frame.ValidName(f.Name) || !wire.Text(f.Value):
		b.err = errMalformed // spaces at an end, which Go's servers let pass, are ours to drop
	case f.Name == "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || b.length >= 0 && b.length != int64(n) {
			b.err = errMalformed
		}
		b.length = int64(n)
	case f.Name == "connection", f.Name == "keep-alive", f.Name == "proxy-connection", f.Name == "transfer-encoding", f.Name == "upgrade":
		// They mean nothing here (section 8.2.2), and go no further.
	default:
		b.fields = append(b.fields, exchange.Field{Name: f.Name, Value: strings.Trim(f.Value, " \t")})
	}
}

// take gives the stream a header block: the head of its answer, or the trailer
// section.
func (s *Stream) take(b *block) error {
	a := &s.answer
	switch {
	case b.err != nil:
		return b.err
	case a.headed && (b.status > 0 || !b.end):
		return errMalformed // only a trailer section comes behind a head
	case a.headed:
		if a.length >= 0 && !a.noBody && a.received < a.length {
			return errMalformed
		}
		a.trailer = append(a.trailer[:0], b.fields...)
		return nil
	case b.status == 0 || b.status == 101 || b.status < 200 && b.end:
		return errMalformed
	case b.status < 200:
		if a.interim++; a.interim > maxInterim {
			return errMalformed
		}
		return nil
	}
	a.headed, a.status, a.length = true, b.status, b.length
	a.noBody = s.method == "HEAD" || b.status == 204 || b.status == 304
	if b.end && !a.noBody && a.length > 0 {
		return errMalformed
	}
	if b.end && !a.noBody {
		a.length = 0
	}
	a.head = append(a.head[:0], b.fields...)
	return nil
}
