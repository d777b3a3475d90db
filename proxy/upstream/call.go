package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream/h2"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// Call is one request to a backend and the answer to it:
//
//	Begin, Stage, [Gather], Connect, Ask or (Send, Write..., Last), ReadHead, Next and Fill until io.EOF, Release
//
// Writing and reading may happen in two goroutines. Whoever makes calls keeps
// them for the next ones: they have memory that has been used before.
type Call struct {
	// Head is the answer's, good until Release.
	Head wire.ResponseHead

	conn   *Conn
	x      *exchange.Exchange // set by StageHTTP2: what is asked, over HTTP/2
	stream *h2.Stream         // its part of a connection to endpoint, once there is one
	cfg    *Config
	times
	req []byte // the request's head, and content that was gathered; its memory stays with the call
	staged
	sent  bool        // all of the request has been written
	moved atomic.Bool // content has been written since Await looked
	in    input

	aside    []byte    // req's memory while that is in a pooled buffer
	endpoint *Endpoint // stream's
}

// times is since when a call waits, and until when.
type times struct {
	now   time.Time     // when it began, or has been refreshed
	at    int64         // now, Unix nanoseconds
	look  time.Duration // to the next look at whether the client is there
	told  bool          // a look costs nothing: the client's protocol tells
	exact time.Time     // when the answer must be complete; zero when no rule says so
}

// staged is what is to be known of the request.
type staged struct {
	content  bool // there is some
	chunked  bool // it is sent in chunks
	trailers bool // and trailer fields are announced
	last     bool // no request is to follow on its connection
}

// maxStaging is the largest head for which a call keeps the memory.
const maxStaging = 16 << 10

// NewCall returns a call that has not begun.
func NewCall() *Call {
	return &Call{Head: wire.ResponseHead{Header: make(exchange.Header, 0, 32)}, req: make([]byte, 0, minRoom)}
}

// Begin begins a call, or another try of it, at now; the answer must be complete
// by exact unless that is zero.
func (c *Call) Begin(now, exact time.Time) { c.now, c.at, c.exact = now, now.UnixNano(), exact }

// refresh makes it now. What a backend may take counts from when it is asked, which
// may be long after the request has begun: its content came slowly, or it was to be
// allowed by somebody else.
func (c *Call) refresh() { c.Begin(time.Now(), c.exact) }

// Release ends the call, which may begin again: its connection goes back to the pool if nothing speaks
// against it, and is closed otherwise. Nothing of the answer is good any more.
func (c *Call) Release() {
	c.finish()
	c.forget()
	if cap(c.req) > maxStaging {
		c.unstage()
	}
	c.cfg, c.staged, c.x = nil, staged{}, nil
}

// unstage goes back to memory that a call may keep.
func (c *Call) unstage() {
	if c.aside != nil {
		put(c.req)
		c.req, c.aside = c.aside, nil
	}
	if cap(c.req) > maxStaging {
		c.req = make([]byte, 0, minRoom)
	}
}

// Drop closes the call's connection, so that another can be asked.
func (c *Call) Drop() {
	c.closeStream()
	if k := c.free(); k != nil {
		k.close()
	}
}

// free returns the call's connection, which ceases to be its.
func (c *Call) free() *Conn {
	k := c.conn
	if k != nil {
		c.conn = nil
		k.ep.busy.Add(-1)
	}
	return k
}

// put gives a pooled buffer back; others are left to the collector.
func put(b []byte) {
	switch cap(b) {
	case mem.Small:
		mem.PutSmall(b)
	case mem.Large:
		mem.PutLarge(b)
	case mem.Huge:
		mem.PutHuge(b)
	}
}

// Stage writes x's head into memory. lines are whole field lines to come last in it.
//
// Content that a method has no use for is a request of its own to backends that do not
// read it (RFC 9110, section 9.3.1), which nobody has let in, and so are trailer fields to
// those that know none. So a request with the one, or that announces the other, is the last
// on its connection, and the backend is told.
func (c *Call) Stage(x *exchange.Exchange, lines string) {
	c.content, c.told = x.Request.Body != nil, x.Context != nil
	c.chunked = c.content && x.Request.ContentLength < 0
	if c.trailers = false; c.chunked {
		_, c.trailers = x.Request.Header.Get("trailer")
	}
	c.last = c.trailers || c.content && x.Request.ContentLength != 0 && !wire.WantsLength(x.Request.Method)
	c.req = wire.AppendRequestHead(c.req[:0], x, wire.RequestOptions{Upgrade: x.Request.Upgrade != "", Close: c.last, Lines: lines})
}

// Gather reads all of body, whose length is known, behind the staged head, so
// that both leave in one write and can be sent again. It reports false, having
// read nothing, when that is too much.
func (c *Call) Gather(body exchange.Body, length int64) (bool, error) {
	if length < 0 || length > int64(mem.Large-len(c.req)) {
		return false, nil
	}
	if int(length) > cap(c.req)-len(c.req) {
		c.aside, c.req = c.req, append(mem.GetLarge()[:0], c.req...)
	}
	for {
		p, err := body.Next()
		c.req = append(c.req, p...)
		if err == io.EOF {
			c.refresh()
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}

// rested is how long a connection may be idle and still be used unseen. Where
// requests come so fast that none is idle for longer, looking would be a good part
// of what each costs; see alone for what then passes.
const rested = 10 * time.Millisecond

// Connect gets a connection to e: an idle one, or with fresh a new one. An idle
// one that has rested is looked at first: the backend may have closed it, or have
// sent something, such as a 408, that would pass for the answer to this request.
// With careful, for requests that cannot be sent twice, and over TLS, every one is;
// and so is one that has carried content, which a backend could take for a request
// of its own, and answer, or whose last answer spoke of content that it did not have.
func (c *Call) Connect(e *Endpoint, fresh, careful bool) *exchange.Error {
	c.cfg, c.look = e.cfg, e.cfg.Look
	if c.told {
		c.look = min(firstLook, c.look)
	}
	if int(e.busy.Add(1)) > c.cfg.MaxRequests {
		e.busy.Add(-1)
		return e.overloaded()
	}
	if c.x == nil && !fresh && c.reuse(e, careful) {
		return nil
	}
	err := c.connect(e)
	if err != nil {
		e.busy.Add(-1)
	}
	return err
}

// fresh reports whether k was used just now, or by somebody who began after now (Unix
// nanoseconds). Far after it only the clock was, which has been set back.
func (k *Conn) fresh(now int64) bool {
	idle := time.Duration(now - k.idle)
	return idle <= rested && idle >= -time.Minute
}

// reuse gets an idle connection to e, if there is a good one.
func (c *Call) reuse(e *Endpoint, careful bool) bool {
	for {
		k := e.pool.get()
		if k == nil {
			return false
		}
		if k.unseen = !careful && !k.loaded && !k.bare && k.secure == nil && k.fresh(c.at); k.unseen || c.quiet(k) {
			c.use(k)
			return true
		}
	}
}

// quiet looks at k, and closes it if it has not been quiet.
func (c *Call) quiet(k *Conn) bool {
	if k.arm(c.now, time.Time{}, c.look) == nil && k.Quiet() {
		return true
	}
	k.close()
	return false
}

// connect gets a new connection to e.
func (c *Call) connect(e *Endpoint) *exchange.Error {
	if c.x != nil {
		return c.open(e)
	}
	c.refresh()
	k, err := e.dial(c.now, c.exact)
	if err == nil {
		c.use(k)
	}
	return err
}

func (c *Call) use(k *Conn) {
	k.loaded = k.loaded || c.content
	c.conn, c.sent, c.in.any = k, false, false
}

// Reused reports whether the connection has carried a request before, so that
// its end may have nothing to do with this one.
func (c *Call) Reused() bool {
	if c.stream != nil {
		return c.stream.Stray()
	}
	return c.conn != nil && c.conn.reused
}

// Answered reports whether any byte of an answer has come.
func (c *Call) Answered() bool { return c.in.any }

// shortest is the least room that is worth beginning an answer in.
const shortest = 1 << 10

// Ask sends what is staged, in whole the request, and waits for the answer to
// begin, or for the client to be gone; see Await. untouched tells, after an error,
// that nothing can have reached the backend. What comes back goes behind what is
// staged, or, where that may be too short for it, to a pooled buffer.
func (c *Call) Ask(gone func() bool) (untouched bool, err error) {
	if c.stream != nil {
		return c.askStream(gone)
	}
	k := c.conn
	if !c.exact.IsZero() || !k.armed(c.at, c.look) {
		if err := k.arm(c.now, c.soon(c.now), c.look); err != nil {
			return true, err
		}
	}
	end := len(c.req)
	room := min(cap(c.req)-end, mem.Small-1) // so that nobody takes it for a pooled buffer
	if c.in.buf == nil && room >= shortest && !k.long {
		c.in.buf = c.req[end : end+room : end+room]
	}
	n, sent, err := k.Ask(c.req, &c.in.buf)
	if sent == 0 && Timeout(err) && c.late() {
		n, sent, err = k.Ask(c.req, &c.in.buf)
	}
	if err != nil {
		return c.unanswered(sent, err, gone)
	}
	c.sent, c.in.any, c.in.w = true, true, n
	if n >= room {
		k.long = true
	}
	return false, nil
}

// late reports whether the time to look passed before anything was sent, for the call
// had begun long before, or the clock was set back since the deadline was armed. It can be
// asked once more then.
//
//go:noinline // it is rare: kept out of the plain path
func (c *Call) late() bool {
	if !c.exact.IsZero() && !time.Now().Before(c.exact) {
		return false
	}
	c.refresh()
	c.conn.until = 0
	return c.conn.arm(c.now, c.soon(c.now), c.look) == nil
}

// unanswered goes on with Ask after err.
func (c *Call) unanswered(sent int, err error, gone func() bool) (untouched bool, _ error) {
	switch {
	case sent < len(c.req) || !Timeout(err) || !time.Now().Before(c.end(c.now)):
		return sent == 0, err
	case gone != nil && gone():
		return false, ErrGone
	}
	c.sent = true
	return false, c.Await(gone)
}

// Send sends what is staged; content follows with Write and Last.
func (c *Call) Send() (untouched bool, err error) {
	if c.stream != nil {
		c.stream.Send(c.x)
		return false, nil
	}
	n, err := c.conn.Write(c.req)
	return n == 0, err
}

// Write sends content. It may be called by another goroutine than the one that
// reads the answer, as may Last and Abort.
func (c *Call) Write(p []byte) error {
	if c.stream != nil {
		return c.stream.Write(p)
	}
	c.moved.Store(true)
	if !c.chunked {
		_, err := c.conn.Write(p)
		return err
	}
	if len(p) == 0 {
		return nil
	}
	// What was staged has gone out, so its memory is free for framing.
	b := wire.AppendChunkHead(c.req[:0], len(p))
	if len(b)+len(p)+2 <= cap(b) {
		b = append(append(b, p...), '\r', '\n')
		_, err := c.conn.Write(b)
		return err
	}
	if err := c.conn.Write2(b, p); err != nil {
		return err
	}
	_, err := c.conn.Write(append(c.req[:0], '\r', '\n'))
	return err
}

// Last ends the content. Over HTTP/1.1, trailer fields that the request has not announced
// are left out (RFC 9112, section 7.1.2); see Stage.
func (c *Call) Last(trailer exchange.Header) error {
	if c.stream != nil {
		c.stream.Last(trailer)
		return nil
	}
	if !c.chunked {
		return nil
	}
	if !c.trailers {
		trailer = nil
	}
	_, err := c.conn.Write(wire.AppendLastChunk(c.req[:0], trailer))
	return err
}

// Abort breaks the connection off: whoever waits for the answer gets an error.
func (c *Call) Abort() {
	if c.stream != nil {
		c.stream.Abort()
		return
	}
	c.conn.Conn.Close()
}

// Sent records that all of the request has been written; without it the
// connection is not used again.
func (c *Call) Sent() { c.sent = true }

// Timeout reports whether err says that the backend, or the rule's time, ran out.
func Timeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// Stream returns the connection of a 101 answer and what the backend sent
// behind its head. The call still owns the connection: Release closes it. Nothing of
// the answer is good any more: what may go on for days holds no buffer meanwhile.
func (c *Call) Stream() (net.Conn, []byte) {
	ahead := slices.Clone(c.in.buf[c.in.r:c.in.w])
	c.forget()
	return c.conn.stream(), ahead
}
