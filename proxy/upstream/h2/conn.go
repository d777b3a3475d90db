package h2

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// outputLimit is how much is staged before streams wait.
const outputLimit = mem.Large - 2<<10

// maxAcks is how many acknowledgements of PING and SETTINGS are staged before the
// backend is taken for one that asks for them and does not read.
const maxAcks = 1000

// defaultStreams is how many requests a connection carries until the backend has
// said how many it takes.
const defaultStreams = 100

// maxResets is how many requests a connection gives up within resetWindow before it takes no
// more. Backends take who resets often for an attacker, and end the connection with all
// that is on it: Netty does at 200 in 30 s. Here it is many clients' that leave now and then.
const (
	maxResets   = 50
	resetWindow = 30 * time.Second
)

// buckets is how many lists the open streams are kept in.
const buckets = 64

var errLost = errors.New("h2: the connection to the backend was lost")

// conn is one connection to a backend.
type conn struct {
	dialer *Dialer
	nc     net.Conn
	kick   chan struct{} // wakes the sender

	// The reader's alone.
	in    input
	block block
	dec   *hpack.Decoder

	mu      sync.Mutex // guards what follows
	streams [buckets]*Stream
	next    uint32    // id of the next stream
	count   int       // requests that have room kept, sent or not
	since   time.Time // when count became 0
	out     output
	window  window
	peer    peer
	state   state
}

// input is what was read.
type input struct {
	frame.Input
	now    time.Time // of the last read
	readBy time.Time // the read deadline that is armed
	pinged bool      // nothing has come since a PING was sent
	pings  pings
}

// pings is what PINGs the backend was sent since it last sent fields or content.
type pings struct {
	last  time.Time // the last of them; zero for none
	spare int       // those that came before their time
}

// may reports whether a PING may be sent at now: in its time, or, where that is urgent,
// spareAsks times before.
func (a *pings) may(now time.Time, urgent bool) bool {
	if early := !a.last.IsZero() && now.Sub(a.last) < pingApart; early {
		if !urgent || a.spare == spareAsks {
			return false
		}
		a.spare++
	}
	a.last = now
	return true
}

// output is what is to be sent.
type output struct {
	staged  []byte
	acks    int       // of PING and SETTINGS, in staged
	busy    bool      // the sender sends, or is about to
	blocked int       // streams that wait for room, or for the connection's window
	unheard bool      // a request, or content, was staged since something came
	armed   time.Time // the write deadline; the sender's alone
}

// window is flow control in both directions, of the connection or a stream.
type window struct {
	send int64 // what the backend takes
	recv int64 // what we still take
	used int64 // what is free of that again, but the backend has not been told
}

// peer is what the backend has set.
type peer struct {
	window  int64 // of each new stream
	frame   int   // of a payload
	streams int   // at one time
	head    int64 // of a request, as section 6.5.2 counts
	shrunk  bool  // its header table
	settled bool  // its SETTINGS have come
}

// state is whether a connection takes requests.
type state struct {
	leaving bool      // none any more; it closes with the last one
	retired bool      // it closes with the last one, but takes more until then
	err     error     // it is over
	resets  int       // in the window
	window  time.Time // when that began
}

func newConn(d *Dialer, nc net.Conn) *conn {
	c := &conn{dialer: d, nc: nc, kick: make(chan struct{}, 1), next: 1, since: time.Now()}
	c.dec = hpack.NewDecoder(frame.TableSize, c.field)
	c.window = window{send: frame.InitialWindow, recv: d.buffer}
	c.peer = peer{window: frame.InitialWindow, frame: frame.MinMaxSize, streams: defaultStreams, head: math.MaxInt64}
	b := append(c.staged(), frame.Preface...)
	b = frame.AppendSettings(b,
		frame.Param{ID: frame.EnablePush, Value: 0},
		frame.Param{ID: frame.InitialWindowSize, Value: uint32(d.cfg.Buffer)},
		frame.Param{ID: frame.MaxHeaderListSize, Value: uint32(d.cfg.Head)})
	c.out.staged = frame.AppendWindowUpdate(b, 0, uint32(d.buffer-frame.InitialWindow))
	c.flush() // nobody else knows of it yet
	go c.send()
	go c.read()
	return c
}

// room is what reserve found.
type room uint8

const (
	full room = iota
	reserved
	over // it takes no request any more
)

// reserve keeps room for a request.
func (c *conn) reserve() room {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state.leaving || c.state.err != nil:
		return over
	case c.count >= min(c.dialer.cfg.Streams, c.peer.streams):
		return full
	}
	c.count++
	return reserved
}

// release gives the room of a request back. The connection's lock is held.
func (c *conn) release() {
	if c.count--; c.count == 0 {
		c.since = time.Now()
		if c.state.leaving || c.state.retired {
			c.fail(errLost)
		}
	}
}

// retire closes the connection with the last of its requests. One without any is
// closed now, unless it has just been made for some.
func (c *conn) retire(fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.retired = true; c.count == 0 && !fresh {
		c.fail(errLost)
	}
}

// gone reports whether c is over, or soon will be.
func (c *conn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.err != nil || c.state.leaving
}

// fail ends the connection. Its lock is held.
func (c *conn) fail(err error) {
	if c.state.err != nil {
		return
	}
	c.state.err = err
	c.each(func(s *Stream) { c.end(s, err, false) })
	_ = c.nc.SetDeadline(time.Unix(1, 0)) // wakes the reader, who closes; closed meanwhile: just as well
	c.wake()
}

func (c *conn) at(id uint32) **Stream { return &c.streams[id>>1%buckets] }

func (c *conn) find(id uint32) *Stream {
	s := *c.at(id)
	for s != nil && s.id != id {
		s = s.next
	}
	return s
}

func (c *conn) each(f func(*Stream)) {
	for _, s := range c.streams {
		for s != nil {
			next := s.next
			f(s)
			s = next
		}
	}
}

// staged returns what is staged, for appending.
func (c *conn) staged() []byte {
	if c.out.staged == nil {
		c.out.staged = mem.GetLarge()[:0]
	}
	return c.out.staged
}

// flush has what is staged sent, soon. The connection's lock is held.
func (c *conn) flush() {
	if !c.out.busy && len(c.out.staged) > 0 {
		c.out.busy = true
		c.wake()
	}
}

// wake wakes the sender.
func (c *conn) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// send is the sender's goroutine. It lets everyone else who can run go first, for
// they may have something to add.
func (c *conn) send() {
	for range c.kick {
		runtime.Gosched()
		c.mu.Lock()
		for len(c.out.staged) > 0 && c.state.err == nil {
			b := c.out.staged
			c.out.staged, c.out.acks = nil, 0
			c.mu.Unlock()
			err := c.write(b)
			if cap(b) == mem.Large {
				mem.PutLarge(b)
			}
			c.mu.Lock()
			if err != nil {
				c.fail(errLost)
			}
			c.unblock()
		}
		c.out.busy = false
		ended := c.state.err != nil
		c.mu.Unlock()
		if ended {
			return
		}
	}
}

func (c *conn) write(b []byte) error {
	now, stall := time.Now(), c.dialer.cfg.WriteTimeout
	if c.out.armed.Sub(now) < stall {
		c.out.armed = now.Add(2 * stall)
		if err := c.nc.SetWriteDeadline(c.out.armed); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(b)
	return err
}

// reset stages a reset of a stream. The connection's lock is held.
func (c *conn) reset(id uint32, code frame.Code) {
	c.out.staged = frame.AppendReset(c.staged(), id, code)
	c.flush()
	if now := time.Now(); now.Sub(c.state.window) > resetWindow {
		c.state.window, c.state.resets = now, 0
	}
	if c.state.resets++; c.state.resets >= maxResets {
		c.state.leaving = true
	}
}

// unblock wakes the streams that wait for the connection.
func (c *conn) unblock() {
	if c.out.blocked > 0 {
		c.each(func(s *Stream) { s.writing.Signal() })
	}
}

// credit gives the connection's window n bytes back. Its lock is held.
func (c *conn) credit(n int64) {
	w := &c.window
	if w.used += n; w.used >= c.dialer.buffer/4 {
		c.out.staged = frame.AppendWindowUpdate(c.staged(), 0, uint32(w.used))
		w.recv += w.used
		w.used = 0
		c.flush()
	}
}

// read is the reader's goroutine.
func (c *conn) read() {
	err := c.frames()
	c.mu.Lock()
	c.fail(err)
	c.mu.Unlock()
	_ = c.nc.Close() // nothing is lost with it
	c.in.Free()
}

// frames reads until the connection ends, and returns why.
func (c *conn) frames() error {
	in := &c.in
	for {
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
			if err := c.frame(&h, b[frame.HeadSize:frame.HeadSize+h.Length]); err != nil {
				return err
			}
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill waits for more.
func (c *conn) fill() error {
	in := &c.in
	for fresh := true; ; fresh = false {
		c.mu.Lock()
		c.flush()
		if fresh {
			c.out.unheard = false
		}
		idle, over := c.count == 0, c.state.err
		c.mu.Unlock()
		if over != nil {
			return over
		}
		if idle {
			in.Shrink()
		}
		if in.readBy.Sub(in.now) < pingAfter {
			in.now = time.Now()
			in.readBy = in.now.Add(2 * pingAfter)
			if idle {
				in.readBy = in.now.Add(min(2*pingAfter, c.dialer.cfg.IdleTimeout))
			}
			if err := c.nc.SetReadDeadline(in.readBy); err != nil {
				return err
			}
			c.mu.Lock()
			over = c.state.err // fail may have set its deadline before ours
			c.mu.Unlock()
			if over != nil {
				return over
			}
		}
		n, err := c.nc.Read(in.Room())
		if n > 0 {
			in.now, in.pinged = time.Now(), false
			in.Add(n)
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return io.ErrUnexpectedEOF
		}
		if err := c.silent(); err != nil {
			return err
		}
	}
}

// silent is called when nothing has come for a while. Requests that were given up
// meanwhile count too: where each waits for a moment only, a lost connection would
// else carry them for as long as they come. Where nothing was sent since something came,
// to ask can wait: the kernel asks too, and backends count.
func (c *conn) silent() error {
	c.in.readBy = time.Time{}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state.err != nil:
		return c.state.err
	case c.in.pinged || c.count == 0 && time.Since(c.since) >= c.dialer.cfg.IdleTimeout:
		return errLost
	case (c.count > 0 || c.out.unheard) && c.in.pings.may(time.Now(), c.out.unheard):
		c.in.pinged = true
		c.out.staged = frame.AppendPing(c.staged(), 0, make([]byte, 8))
	}
	return nil
}
