package http2

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// conn is one client connection.
type conn struct {
	srv  *Server
	cfg  *Config // the Server's, within what the port allows
	nc   net.Conn
	info *exchange.Conn

	// The reader's alone.
	in    input
	block block
	dec   *hpack.Decoder
	flood flood

	mu      sync.Mutex // guards what follows
	streams streams
	out     output
	window  window // the connection's
	peer    peer
	drain   drain
	wake    frame.Waiter // the reader's, while it does not read
}

// input is what was read.
type input struct {
	frame.Input
	now     time.Time // of the last read
	by      time.Time // when the frame or header block that has begun must be complete; zero when none has
	readBy  time.Time // the read deadline that is armed
	settled bool      // the client's SETTINGS have come
	acked   bool      // and it has acknowledged ours
	greeted bool      // the preface has
	last    uint32    // the highest stream of the client's
	taken   uint32    // the highest of those that are looked at
	begun   []*stream // by what was read last; they are not served yet
}

// flood is what the client may still send that is of no use.
type flood struct {
	idle, resets frame.Bucket
	owed         int // updates of windows that may still come for what was sent
}

// peer is what the client has set.
type peer struct {
	window int64 // of each new stream
	frame  int   // of a payload
	shrunk bool  // its header table: the next block must say that it has been seen
}

// fault is an error of the client's that ends the connection.
type fault struct {
	code frame.Code
	why  string
}

// flood is the kind of flood that f ends; empty where f is none.
func (f *fault) flood() string {
	switch f {
	case errManyIdle:
		return "frames"
	case errManyResets:
		return "resets"
	case errBlockLong:
		return "header"
	}
	return ""
}

// prefaceTime bounds how long a connection may take to say that it is HTTP/2.
const prefaceTime = 10 * time.Second

func newConn(s *Server, nc net.Conn, info *exchange.Conn) *conn {
	now := time.Now()
	c := &conn{srv: s, cfg: s.cfg.within(info), nc: nc, info: info}
	c.dec = hpack.NewDecoder(frame.TableSize, c.field)
	c.in = input{now: now, by: now.Add(min(prefaceTime, c.cfg.Timeouts.Head))}
	c.flood = flood{idle: frame.NewBucket(c.cfg.Floods.Idle, idleRate, now), resets: frame.NewBucket(c.cfg.Floods.Resets, frame.ResetRate, now)}
	c.streams.since = now
	c.window = window{send: frame.InitialWindow, recv: int64(c.cfg.Buffers.Connection)}
	c.peer = peer{window: frame.InitialWindow, frame: frame.MinMaxSize}
	c.wake.Init()
	c.out.c = c
	return c
}

// serve reads the connection until it ends.
func (c *conn) serve(ahead []byte) {
	c.greet()
	c.in.Put(ahead)
	f := c.process()
	for c.start(); f == nil && !c.done(); c.start() {
		if !c.read() {
			break
		}
		f = c.process()
	}
	if f != nil {
		if kind := f.flood(); kind != "" && c.cfg.Flooded != nil {
			c.cfg.Flooded(kind)
		}
		c.cfg.Log.V(1).Info("HTTP/2 connection broken off", "peer", c.info.Peer.String(), "code", uint32(f.code), "reason", f.why)
	}
	c.end(f)
	c.in.Free()
}

// greet stages our side of the preface.
func (c *conn) greet() {
	cfg := c.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage(frame.AppendSettings(c.staged(),
		frame.Param{ID: frame.MaxConcurrentStreams, Value: cfg.Streams},
		frame.Param{ID: frame.InitialWindowSize, Value: uint32(cfg.Buffers.Stream)},
		frame.Param{ID: frame.MaxHeaderListSize, Value: uint32(cfg.Limits.Head)},
		frame.Param{ID: frame.NoPriorities, Value: 1}))
	c.stage(frame.AppendWindowUpdate(c.staged(), 0, uint32(cfg.Buffers.Connection-frame.InitialWindow)))
	c.flush()
}

// process takes the frames that are complete.
func (c *conn) process() *fault {
	in := &c.in
	if !in.greeted {
		if ok, f := c.preface(); !ok {
			return f
		}
	}
	for {
		b := in.Bytes()
		if len(b) < frame.HeadSize {
			break
		}
		h := frame.Parse(b)
		if h.Length > frame.MinMaxSize {
			return errFrameSize
		}
		if len(b) < frame.HeadSize+h.Length {
			break
		}
		in.Take(frame.HeadSize + h.Length)
		between := c.block.id == 0
		if f := c.frame(&h, b[frame.HeadSize:frame.HeadSize+h.Length]); f != nil {
			return f
		}
		if in.settled && (between || c.block.id == 0) {
			in.by = time.Time{} // of what is complete now
		}
	}
	c.patience()
	return nil
}

// start has the streams served that have begun. It comes after all that was read
// has been taken, so that content which came with a head is there.
func (c *conn) start() {
	for i, st := range c.in.begun {
		c.in.begun[i] = nil
		c.mu.Lock()
		gone := st.gone
		c.mu.Unlock()
		if gone { // before anybody has looked at it
			st.finish()
			continue
		}
		st.complete()
		c.srv.waiting.Add(1)
		c.srv.workers.start(st)
	}
	c.in.begun = c.in.begun[:0]
}

// preface takes the client's, once it is there.
func (c *conn) preface() (ok bool, _ *fault) {
	in := &c.in
	b := in.Bytes()
	n := min(len(b), len(frame.Preface))
	if mem.String(b[:n]) != frame.Preface[:n] {
		return false, errPreface
	}
	if n < len(frame.Preface) {
		return false, nil
	}
	in.Take(n)
	in.greeted = true
	return true, nil
}

// patience notes since when something is incomplete. Content may trickle: its
// stream's time bounds that.
func (c *conn) patience() {
	in := &c.in
	b := in.Bytes()
	switch {
	case !in.settled: // the time of the preface
	case c.block.id == 0 && (len(b) == 0 || len(b) > 3 && frame.Type(b[3]) == frame.Data):
		in.by = time.Time{}
	case in.by.IsZero():
		in.by = in.now.Add(c.cfg.Timeouts.Head)
	}
}

// read waits for more, and reports whether there is any; the connection ends if
// there is not.
func (c *conn) read() bool {
	in := &c.in
	for c.arm() {
		n, err := c.nc.Read(in.Room())
		in.now = time.Now()
		if n > 0 {
			in.Add(n)
			return true
		}
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || c.expired()) {
			return false
		}
	}
	return false
}

// arm gets ready to wait: what is staged is sent, and not more than the client
// takes; and there is a deadline. It returns false when there is nothing to wait for.
func (c *conn) arm() bool {
	c.mu.Lock()
	for c.flush(); len(c.out.staged) >= outputLimit && !c.out.failed; c.flush() {
		c.pause()
	}
	c.gather()
	idle, since := c.streams.open == 0, c.streams.since
	c.mu.Unlock()
	in := &c.in
	if idle {
		in.Shrink()
		if in.now.Sub(since) >= 2*c.cfg.Timeouts.Idle {
			c.takeLeave() // whatever comes, it is no requests
		}
	}
	by := in.by
	if by.IsZero() {
		left := c.cfg.Timeouts.Idle
		if in.readBy.Sub(in.now) >= left {
			return !c.done()
		}
		by = in.now.Add(2 * left)
	}
	if in.readBy.Equal(by) {
		return !c.done()
	}
	in.readBy = by
	if c.nc.SetReadDeadline(by) != nil {
		return false
	}
	// Whoever nudges has changed what done and expired look at before that: either
	// it is seen here, or the deadline just armed is replaced.
	return !c.done() && !c.waning()
}

// gather counts what was sent for what the client may send. The lock is held.
func (c *conn) gather() {
	f, out := &c.flood, &c.out
	f.idle.Gain(out.useful)
	f.owed = min(f.owed+out.useful, mostOwed)
	f.resets.Gain(out.answered * frame.ResetAnswer)
	out.useful, out.answered = 0, 0
}

// nudge makes the reader look at the connection's state.
func (c *conn) nudge() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) } // closed meanwhile: just as well

// expired says whether the end of a wait is the end of the connection.
func (c *conn) expired() bool {
	in := &c.in
	in.readBy = time.Time{}
	if !in.by.IsZero() && !in.now.Before(in.by) {
		return true
	}
	if c.waning() || c.done() {
		return true
	}
	c.mu.Lock()
	idle := c.streams.open == 0 && in.now.Sub(c.streams.since) >= c.cfg.Timeouts.Idle
	c.mu.Unlock()
	if idle {
		c.takeLeave()
	}
	return false
}

// takeLeave drains a connection that is idle: a request may be on its way.
func (c *conn) takeLeave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drain.state == open {
		c.announce()
		c.flush()
		c.in.readBy = time.Time{} // the answer is waited for no longer than arm says
	}
}

// end ends the connection: with GOAWAY, when its streams are told, and closed
// once that is sent.
func (c *conn) end(f *fault) {
	code, why := frame.NoError, ""
	if f != nil {
		code, why = f.code, f.why
	}
	c.mu.Lock()
	last := c.in.last
	if c.drain.state == final {
		last = c.in.taken // it must not become more than was said (section 6.8)
	}
	if c.drain.state != final || f != nil {
		c.stage(frame.AppendGoAway(c.staged(), last, code, why))
	}
	c.streams.each(func(st *stream) { c.abandon(st) })
	c.flush()
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastWords)) // closed meanwhile: just as well
	c.out.last = true
	for c.out.busy {
		c.pause()
	}
	failed, by := c.out.failed, time.Now().Add(lastWords)
	if last := c.streams.since.Add(c.cfg.Timeouts.Write); f == nil && by.Before(last) {
		by = last // what the kernel has of the last answer may take as long
	}
	c.mu.Unlock()
	if !failed {
		c.linger(by)
	}
	_ = c.nc.Close() // streams that end late have nobody to tell
	c.mu.Lock()
	c.fail()
	for c.streams.open > 0 || c.out.busy {
		c.pause()
	}
	c.mu.Unlock()
}

// lastWords bounds how long GOAWAY may take to leave, and how long a client that
// has all its answers is listened to after it.
const lastWords = time.Second

// linger reads on until the client leaves: closing while it sends, be it that it
// takes more of an answer, would reset the connection and take from it GOAWAY and
// what of the answer the kernel has not sent.
func (c *conn) linger(by time.Time) {
	h, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil || c.nc.SetReadDeadline(by) != nil {
		return
	}
	const most = 256 << 10
	b := mem.GetSmall()
	defer mem.PutSmall(b)
	for total := 0; total < most; {
		n, err := c.nc.Read(b)
		if err != nil {
			return
		}
		total += n
	}
}
