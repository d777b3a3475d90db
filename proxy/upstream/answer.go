package upstream

import (
	"bytes"
	"io"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// maxInterim is how many 1xx answers a backend may send before its final one.
const maxInterim = 16

// minRoom is the least room worth reading content into.
const minRoom = 4 << 10

// input is what has been read of an answer.
type input struct {
	buf    []byte // nil until something came
	base   int    // content is read behind this, so that the head stays good
	r, w   int    // unread are buf[r:w]
	left   int64  // fixed: bytes still to come
	mode   mode   //
	done   bool   // all content has been returned
	any    bool   // a byte of the answer has come
	head   []byte // what buf was before much content was to come; the head's strings are in it
	chunks wire.Chunks
}

type mode uint8

const (
	fixed mode = iota
	chunked
	untilClose
	tunnel
)

// ReadHead reads the final answer's head, or that of a 101 to upgrade, the protocol
// that was offered. method is the request's; for gone see Await. Errors are
// *exchange.Error for a malformed answer, and those of the connection.
func (c *Call) ReadHead(method, upgrade string, gone func() bool) error {
	if c.stream != nil {
		return c.readStreamHead(gone)
	}
	in := &c.in
	n, err := wire.ParseResponse(in.buf[in.r:in.w], method, &c.Head, c.cfg.Limits, &c.conn.seen)
	if n == 0 || c.Head.Status < 200 {
		return c.readOn(n, err, method, upgrade, gone)
	}
	in.r += n
	return c.begin()
}

// readOn is ReadHead from the first head on, if that is not the final one: of n bytes,
// not complete, or wrong.
func (c *Call) readOn(n int, err *exchange.Error, method, upgrade string, gone func() bool) error {
	in := &c.in
	for interim := 0; ; interim++ {
		for n == 0 && err == nil {
			if err := c.Await(gone); err != nil {
				return err
			}
			n, err = wire.ParseResponse(in.buf[in.r:in.w], method, &c.Head, c.cfg.Limits, &c.conn.seen)
		}
		if err != nil {
			c.blame()
			return err
		}
		in.r += n
		switch {
		case c.Head.Status >= 200:
			return c.begin()
		case c.Head.Status == 101:
			return c.switched(upgrade)
		case interim == maxInterim:
			return bad("the backend sends interim answers without end")
		}
		n, err = wire.ParseResponse(in.buf[in.r:in.w], method, &c.Head, c.cfg.Limits, &c.conn.seen)
	}
}

// switched takes a 101.
func (c *Call) switched(upgrade string) error {
	if upgrade == "" || !mem.EqualFold(c.Head.Upgrade, upgrade) {
		return bad("the backend switched protocols without being asked")
	}
	c.in.mode, c.in.done = tunnel, true
	return nil
}

//go:noinline // it is rare: kept out of the plain path
func bad(detail string) *exchange.Error {
	return &exchange.Error{Status: 502, Code: "backend_bad_response", Detail: detail}
}

// begin decides how the content is read. Chunks that have come with the head are
// looked at: what is wrong with them can be told while no answer has begun.
func (c *Call) begin() error {
	in := &c.in
	in.base, in.left, in.done = in.r, 0, false
	c.conn.bare = c.Head.NoBody && c.Head.ContentLength != 0
	behind := in.buf[in.r:in.w]
	switch {
	case c.Head.Chunked:
		in.mode = chunked
		var err *exchange.Error
		if behind, err = in.chunks.Check(behind); err != nil {
			return bad(err.Detail)
		}
	case c.Head.UntilClose:
		in.mode = untilClose
		return nil
	default:
		if in.mode = fixed; !c.Head.NoBody {
			in.left = c.Head.ContentLength
		}
		in.done = in.left == 0
		behind = behind[min(int64(len(behind)), in.left):]
	}
	if c.conn.bare {
		c.strip(behind)
	}
	return c.alone(behind)
}

// strip takes an answer that is all head. Some servers leave it to the application to send
// no content behind one, and some applications do: what comes late would pass for the
// answer to the next request. So a connection to such an endpoint ends with it.
//
//go:noinline // it is rare: kept out of the plain path
func (c *Call) strip(behind []byte) {
	wordy := &c.conn.ep.wordy
	if len(behind) > 0 && !wordy.Load() {
		wordy.Store(true)
	}
	c.Head.Close = c.Head.Close || wordy.Load()
	// Nothing is to come behind these, unless they name it.
	if c.Head.ContentLength < 0 && (c.Head.Status == 204 || c.Head.Status == 304) {
		c.conn.bare = false
	}
}

// blame notes that what came is no answer, and may be content of the one before.
func (c *Call) blame() {
	if c.conn.bare {
		c.conn.ep.wordy.Store(true)
	}
}

// alone refuses an answer that another one is right behind, on a connection that was
// used unseen: the first may have come while nobody asked.
func (c *Call) alone(behind []byte) error {
	if c.conn.unseen && bytes.HasPrefix(behind, []byte("HTTP/1.")) {
		return bad("the backend sent more than one answer")
	}
	return nil
}

// Done reports whether all of the answer's content has been returned.
func (c *Call) Done() bool { return c.in.done }

// Next returns content that has come, good until Fill; io.EOF at its end; and
// nothing, without an error, when Fill is needed. It never waits.
func (c *Call) Next() ([]byte, error) {
	in := &c.in
	for !in.done {
		b := in.buf[in.r:in.w]
		if len(b) == 0 {
			return nil, nil
		}
		if in.mode == chunked {
			data, n, done, err := in.chunks.Next(b)
			if err != nil {
				return nil, bad(err.Detail)
			}
			in.r += n
			in.done = done
			if len(data) > 0 {
				return data, nil
			}
			continue
		}
		if in.mode == fixed {
			b = b[:min(int64(len(b)), in.left)]
			in.left -= int64(len(b))
			in.done = in.left == 0
		}
		in.r += len(b)
		return b, nil
	}
	return nil, io.EOF
}

// Trailers reports whether the answer is of a kind that may have trailer fields.
func (c *Call) Trailers() bool { return c.in.mode == chunked || c.stream != nil }

// Trailer returns the answer's trailer fields, complete once Next has returned io.EOF.
func (c *Call) Trailer() exchange.Header {
	if c.stream != nil {
		return c.stream.Trailer(c.in.chunks.Trailer)
	}
	return c.in.chunks.Trailer
}

// Fill waits for more of the answer.
func (c *Call) Fill() error { return c.fill(time.Now(), c.exact, c.cfg.ReadTimeout) }

func (c *Call) fill(now, exact time.Time, timeout time.Duration) error {
	in := &c.in
	if in.buf == nil {
		in.buf = mem.GetLarge()
	}
	if in.r == in.w {
		if in.left >= mem.Large && in.mode == fixed && in.head == nil && c.stream == nil {
			in.head, in.buf, in.base = in.buf, mem.GetHuge(), 0
		}
		in.r, in.w = in.base, in.base
	}
	if len(in.buf)-in.w < minRoom {
		c.makeRoom()
	}
	c.now, c.at = now, now.UnixNano()
	if c.stream != nil {
		return c.fillStream()
	}
	if err := c.conn.arm(now, exact, timeout); err != nil {
		return err
	}
	n, err := c.conn.Read(in.buf[in.w:])
	if err == io.EOF && in.mode == untilClose {
		in.done = true
		return nil
	}
	if err != nil {
		c.conn.until = 0 // if that has passed: by the clock it may have yet to, when that was set back
		return err
	}
	in.any = true
	in.w += n
	return nil
}

// makeRoom makes room for a head that does not fit, or for content behind a
// head that takes up nearly all. The head's strings must stay good, so the old
// buffer is not given back.
func (c *Call) makeRoom() {
	in := &c.in
	var b []byte
	if len(in.buf) < mem.Small { // behind what is staged
		b = mem.GetLarge()
	} else {
		b = make([]byte, max(2*len(in.buf), in.w-in.r+2*minRoom))
	}
	in.w = copy(b, in.buf[in.r:in.w])
	in.buf, in.r, in.base = b, 0, 0
}
