package h2

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// repeats is how often a request is sent again when the backend says it has not
// looked at it.
const repeats = 2

// replayable is how much content is kept so that it can be sent again. A backend that has
// not looked at a request lets no more of it through than its first window, which is of 64 KiB
// with most.
const replayable = 64 << 10

var errRefused = errors.New("h2: the backend takes no more content")

// Watched is a context that can tell without a goroutine or memory that it has
// ended: it signals c, as often as it likes, until Unwatch.
type Watched interface {
	Watch(c chan<- struct{})
	Unwatch(c chan<- struct{})
}

// Stream is one request to a backend and the answer to it:
//
//	Open, Ask or (Send, Write..., Last), Head, Read until io.EOF, Close
//
// Writing and reading may happen in two goroutines. Streams are reused: Close
// gives one back.
type Stream struct {
	pool     *Pool
	ctx      context.Context
	unwatch  func() bool   // of a context that is not Watched
	until    time.Time     // when it has failed with os.ErrDeadlineExceeded; the reading goroutine's, and the relay's while that waits
	patience time.Duration // by which content that was sent before then moves it; 0: it does not
	method   string
	reading  frame.Waiter
	writing  frame.Waiter
	conn     atomic.Pointer[conn] // with room kept for this stream
	aborted  atomic.Bool
	keeping  atomic.Bool  // another try is possible
	resent   frame.Waiter // for who writes: it was made, or is not possible any more

	looks   // the reading goroutine's
	sending // guarded by its lock
	flow    // guarded by the connection's lock
}

// looks is how to learn that the client has left, where ctx does not tell.
type looks struct {
	gone  func() bool   // says so; nil: ctx tells
	every time.Duration // how often it is asked
	left  bool          // it has said so
}

// sending is the request as far as it has been given to us.
type sending struct {
	lock    sync.Mutex // held while content is sent; taken before the connection's
	block   []byte     // the head; its memory stays with the stream
	size    int64      // of the head, as section 6.5.2 counts
	kept    []byte     // the content as far as it has been sent, for another try
	own     []byte     // memory for that
	last    bool       // the content is complete
	trailer exchange.Header
}

// flow is the stream as its connection knows it.
type flow struct {
	id       uint32
	next     *Stream // in the connection's list
	open     bool    // in that list
	held     bool    // room is kept
	early    bool    // it was sent before the backend had said how many requests it takes
	done     bool    // the answer is complete, or err says why there is none
	sentLast bool
	moved    bool // content was staged since the time was last moved for that
	err      error
	window   window
	answer   answer
	relay    relay
}

var streams = sync.Pool{New: func() any {
	s := &Stream{}
	s.block = make([]byte, 0, 512)
	s.reading.Init()
	s.writing.Init()
	s.resent.Init()
	return s
}}

// Open keeps room for a request on a connection to p's endpoint, waiting until at
// the latest. The request ends when ctx does.
func (p *Pool) Open(ctx context.Context, at time.Time) (*Stream, error) {
	c, err := p.acquire(ctx, at)
	if err != nil {
		return nil, err
	}
	s := streams.Get().(*Stream)
	s.pool, s.ctx, s.until = p, ctx, at
	s.reading.Clear()
	s.writing.Clear()
	s.resent.Clear()
	s.conn.Store(c)
	s.held = true
	s.keeping.Store(true)
	s.answer.reset()
	switch w := ctx.(type) {
	case Watched:
		w.Watch(s.reading.C)
	default:
		if ctx.Done() != nil {
			s.unwatch = context.AfterFunc(ctx, s.reading.Signal)
		}
	}
	return s, nil
}

// Expire moves the time at which the stream has failed with os.ErrDeadlineExceeded, unless
// content of the request has been sent meanwhile: then it moves by patience, if that is
// not 0. Whoever waits already is told.
func (s *Stream) Expire(at time.Time, patience time.Duration) {
	c := s.conn.Load()
	c.mu.Lock()
	s.until, s.patience = at, patience
	c.mu.Unlock()
	s.reading.Signal()
}

// Abort resets the stream: whoever waits for the answer gets an error.
func (s *Stream) Abort() {
	s.aborted.Store(true)
	s.give(errRefused)
}

// give ends the stream with err, unless it has ended.
func (s *Stream) give(err error) {
	for {
		c := s.conn.Load()
		c.mu.Lock()
		if s.conn.Load() == c { // else it is being sent again
			c.abort(s, err, frame.Cancel)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// abort resets s. The connection's lock is held.
func (c *conn) abort(s *Stream, err error, code frame.Code) {
	if s.done {
		return
	}
	if s.open && c.state.err == nil {
		c.reset(s.id, code)
	}
	s.sentLast = true
	c.end(s, err, false)
}

// end ends s: its answer is complete, or err says why there is none. The
// connection's lock is held.
func (c *conn) end(s *Stream, err error, complete bool) {
	if s.done {
		return
	}
	if complete && !s.sentLast { // nobody wants the rest
		c.reset(s.id, frame.NoError)
	}
	s.done, s.err = true, err
	if s.open {
		s.open = false
		at := c.at(s.id)
		for *at != s {
			at = &(*at).flow.next
		}
		*at, s.flow.next = s.flow.next, nil
	}
	s.reading.Signal()
	s.writing.Signal()
	if s.held {
		s.held = false
		c.release()
	}
}

// wait waits for the head of the answer, and sends the request again as long as
// the backend says that it has not looked at it. To have been one of more than a new
// connection takes, before that could be known, is no try: it may happen with each.
// Nothing is sent again after it.
func (s *Stream) wait() error {
	err := s.persist()
	s.keeping.Store(false)
	if err != nil {
		s.resent.Signal()
	}
	return err
}

// persist is wait, after which the request may still be sent again.
func (s *Stream) persist() error {
	for try, early := 0, 0; ; try++ {
		err := s.await(func(a *answer) bool { return a.headed })
		if errors.Is(err, errUnprocessed) && s.unaware() && early < s.pool.dialer.cfg.Conns {
			try--
			early++
		}
		if !errors.Is(err, errUnprocessed) || try == repeats {
			return err
		}
		if !s.again() {
			return err
		}
	}
}

// unaware reports whether the request was sent before the backend had said how many it takes.
func (s *Stream) unaware() bool {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.early
}

// again sends the request once more, and reports whether it can.
func (s *Stream) again() bool {
	if !s.keeping.Load() || s.aborted.Load() {
		return false
	}
	c, err := s.pool.acquire(s.ctx, s.until)
	if err != nil {
		return false
	}
	s.lock.Lock() // who writes has been told
	defer s.lock.Unlock()
	if !s.keeping.Load() { // more has been sent than is kept
		c.mu.Lock()
		defer c.mu.Unlock()
		c.release()
		return false
	}
	before := s.conn.Load()
	before.mu.Lock()
	s.flow = flow{held: true, answer: s.answer}
	s.answer.reset()
	s.conn.Store(c)
	before.mu.Unlock()
	s.replay()
	s.resent.Signal()
	return true
}

// Stray reports whether the stream ended without an answer because its connection was
// lost, and that had carried requests before: its end may have nothing to do with this one.
func (s *Stream) Stray() bool {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	lost := s.err == errLost || s.err == io.ErrUnexpectedEOF
	return lost && s.id > 1 && !s.answer.headed && s.answer.interim == 0
}

// await waits until there is what is asked for, or the stream has ended.
func (s *Stream) await(there func(*answer) bool) error {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.awaitOn(c, there)
}

// awaitOn is await on c, whose lock is held but for when it waits.
func (s *Stream) awaitOn(c *conn, there func(*answer) bool) error {
	for late := false; !there(&s.answer); {
		if late || s.ctx.Err() != nil {
			s.late(c)
		}
		if s.done {
			return s.err
		}
		until := s.until
		c.mu.Unlock()
		late = !s.pause(until)
		c.mu.Lock()
		if s.left {
			c.abort(s, context.Canceled, frame.Cancel)
		}
	}
	return nil
}

// Look has gone asked this often, while the answer is waited for, whether the client has
// left: where it has, the request ends as if its context had.
func (s *Stream) Look(gone func() bool, every time.Duration) { s.gone, s.every = gone, every }

// pause waits for a signal, until then at most; it returns false when that has passed.
func (s *Stream) pause(until time.Time) bool {
	if s.gone == nil {
		return s.reading.Wait(until)
	}
	look := time.Now().Add(s.every)
	if !look.Before(until) {
		return s.reading.Wait(until)
	}
	s.left = !s.reading.Wait(look) && s.gone()
	return true
}

// Head waits for the head of the answer: its status, the length of its content
// (-1 when not known) and its fields, which are appended to h.
func (s *Stream) Head(h exchange.Header) (status int, length int64, _ exchange.Header, _ error) {
	if err := s.wait(); err != nil {
		return 0, 0, h, err
	}
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &s.answer
	return a.status, a.length, append(h, a.head...), nil
}

// Read reads content of the answer whose head has been read.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.relay.open = true
	err := s.awaitOn(c, func(a *answer) bool { return !a.queue.Empty() })
	s.relay.open = false
	if err != nil {
		return 0, err
	}
	n := s.answer.queue.Read(p)
	if n == 0 {
		return 0, io.EOF
	}
	c.taken(s, int64(n))
	return n, nil
}

// taken gives both windows n bytes back. The connection's lock is held.
func (c *conn) taken(s *Stream, n int64) {
	c.credit(n)
	w := &s.window
	if w.used += n; w.used >= int64(c.dialer.cfg.Buffer)/2 && !s.done {
		c.out.staged = frame.AppendWindowUpdate(c.staged(), s.id, uint32(w.used))
		w.recv += w.used
		w.used = 0
		c.flush()
	}
}

// Trailer appends the answer's trailer fields to h, once Read has returned io.EOF.
func (s *Stream) Trailer(h exchange.Header) exchange.Header {
	c := s.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(h, s.answer.trailer...)
}

// Close ends the stream, resetting it if it is not complete, once nobody writes. Nothing of x or of
// the caller's memory is used any more, and the stream is of no more use.
func (s *Stream) Close() {
	if w, ok := s.ctx.(Watched); ok {
		w.Unwatch(s.reading.C)
	} else if s.unwatch != nil {
		s.unwatch()
	}
	s.give(errRefused)
	s.lock.Lock() // who still writes has been told
	defer s.lock.Unlock()
	c := s.conn.Load()
	c.mu.Lock()
	if n := s.answer.queue.Drop(); n > 0 {
		c.credit(int64(n))
	}
	c.mu.Unlock()
	s.free()
}

// free gives s back.
func (s *Stream) free() {
	if cap(s.own) > replayable || cap(s.block) > mem.Large {
		s.own, s.block = nil, s.block[:0:0]
	}
	s.pool, s.ctx, s.unwatch, s.method = nil, nil, nil, ""
	s.looks, s.patience = looks{}, 0
	s.kept, s.own, s.last = nil, s.own[:0], false
	clear(s.trailer)
	s.trailer = s.trailer[:0]
	s.aborted.Store(false)
	s.conn.Store(nil)
	a := s.answer
	s.flow = flow{answer: a}
	s.answer.reset()
	streams.Put(s)
}
