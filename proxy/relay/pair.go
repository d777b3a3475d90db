package relay

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// pair is two sockets in one loop. From start to finish it belongs to the loop's
// goroutine.
type pair struct {
	loop   *poll.Loop
	idle   time.Duration
	client *net.TCPConn // what its descriptor was taken from
	ends   [2]end       // of the client, and of the backend
	over   bool
	cut    bool // one side takes no more, though not all has been said
	done   chan bool
}

// end is one of the sockets, and the direction from it to the other.
type end struct {
	poll.Entry
	pair  *pair
	to    *end
	fd    socket.FD // -1: none
	count *atomic.Uint64
	moved time.Time // when something last did in this direction

	held     []byte // what to has not taken yet; as long as there is any, nothing is read
	buf      []byte // pooled, where held is; nil: it is somebody else's
	kept     bool   // held is in the loop's buffer, until Flush
	readable bool   // there may be something to read
	ending   bool   // the last of it is the end, or an error
	ended    bool   // the end has come and has been passed on
}

// pair takes the descriptors of two TCP connections over. It is nil when there is
// no loop for them, or no descriptor.
func (r Relay) pair(client, backend net.Conn, n Count) *pair {
	if r.Poll == nil {
		return nil
	}
	a, fromA := bare(client)
	b, fromB := bare(backend)
	if a == nil || b == nil {
		return nil
	}
	p := &pair{loop: r.Poll.Loop(), idle: r.Idle, client: a, done: make(chan bool, 1)}
	p.ends = [2]end{
		{pair: p, to: &p.ends[1], fd: -1, count: n.In, held: fromA},
		{pair: p, to: &p.ends[0], fd: -1, count: n.Out, held: fromB},
	}
	for i, c := range []*net.TCPConn{a, b} {
		fd, err := socket.Duplicate(c)
		if err != nil {
			p.close()
			return nil
		}
		p.ends[i].fd = fd
	}
	// Closed, the connections leave the runtime's poller, which would look at each
	// event a second time. The loop has the pair first: one whose client somebody
	// else has closed by now may have been looked for there already.
	if !p.loop.Do(p.start) {
		p.close()
		return nil
	}
	if a.Close() != nil {
		p.loop.Do(p.broken)
	}
	_ = b.Close()
	return p
}

// run waits until the pair has ended.
func (p *pair) run() bool { return <-p.done }

func (p *pair) start() {
	now := p.loop.Now()
	for i := range p.ends {
		e := &p.ends[i]
		e.moved = now
		if p.loop.Add(&e.Entry, int(e.fd), poll.Read|poll.Write, e) != nil {
			p.finish(false)
			return
		}
	}
	p.ends[0].At(now.Add(p.idle))
	for i := range p.ends {
		if p.ends[i].flush() {
			return
		}
	}
}

// finish ends both, however far they are. ok says that both have said all.
func (p *pair) finish(ok bool) (over bool) {
	if p.over {
		return true
	}
	p.over = true
	for i := range p.ends {
		p.ends[i].Remove()
		p.ends[i].release()
	}
	p.close()
	p.done <- ok && !p.cut
	return true
}

func (p *pair) close() {
	for i := range p.ends {
		if fd := p.ends[i].fd; fd >= 0 {
			_ = fd.Close()
		}
	}
}

func (p *pair) broken() { p.finish(false) }

// due ends the pair if it has been idle for too long, or one side has taken
// nothing of what it is to get.
func (p *pair) due() {
	next := p.ends[0].moved
	if later := p.ends[1].moved; later.After(next) {
		next = later
	}
	for i := range p.ends {
		if e := &p.ends[i]; len(e.held) > 0 && e.moved.Before(next) {
			next = e.moved
		}
	}
	if p.loop.Now().Sub(next) >= p.idle {
		p.finish(false)
		return
	}
	p.ends[0].At(next.Add(p.idle))
}

// Ready implements poll.Handler.
func (e *end) Ready(ev poll.Events) {
	switch {
	case ev&poll.Closed != 0:
		e.pair.finish(false)
		return
	case ev&poll.Due != 0:
		e.pair.due()
		return
	case ev&poll.Broken != 0 && e.ended: // otherwise reading tells
		e.pair.finish(false)
		return
	}
	if ev&poll.Writable != 0 && len(e.to.held) > 0 && e.to.flush() {
		return
	}
	if ev&(poll.Readable|poll.Ended) != 0 {
		e.readable = true
		e.ending = e.ending || ev&poll.Ended != 0
		e.pump()
	}
}

// small is the most that is sent only once all of the batch have been read: to do the
// same many times in a row costs less than to do this and that by turns.
const small = 4 << 10

// turn is how many pieces are passed on before others of the loop get theirs.
const turn = 16

// pump passes on what there is to read, as far as it is taken.
func (e *end) pump() (over bool) {
	for i := 0; e.readable && !e.ended && len(e.held) == 0; i++ {
		if i == turn {
			return e.Again() != nil && e.pair.finish(false)
		}
		b := e.pair.loop.Buffer()
		n, err := e.fd.Recv(b)
		switch {
		case err == nil:
			// Less than was asked for is all there is, but for an end.
			e.readable = n == len(b) || e.ending
			if n <= small && e.pair.loop.Keep(n, e) {
				e.held, e.kept = b[:n], true
			} else {
				over = e.send(b[:n])
			}
		case err == socket.ErrWouldBlock:
			e.readable = false
		case err == io.EOF:
			over = e.pass()
		default:
			over = e.pair.finish(false)
		}
		if over {
			return true
		}
	}
	return false
}

// pass passes the end on.
func (e *end) pass() (over bool) {
	e.ended = true
	switch {
	case e.to.ended:
		return e.pair.finish(true)
	case e.to.fd.CloseWrite() != nil:
		return e.pair.finish(false)
	}
	return false
}

// send passes b on, and holds what is not taken.
func (e *end) send(b []byte) (over bool) {
	n, err := e.to.fd.Send(b)
	if err != nil {
		return e.refused(err)
	}
	e.add(n)
	if n < len(b) {
		e.hold(b[n:])
	}
	return false
}

// refused ends this direction, because the other side takes no more. What that has said before
// it went, such as why, may still be here: the pair ends once it has been passed on.
func (e *end) refused(err error) (over bool) {
	if !gone(err) || e.to.ended {
		return e.pair.finish(false)
	}
	e.release()
	e.ended, e.pair.cut = true, true
	e.to.readable, e.to.ending = true, true
	return e.to.flush()
}

func (e *end) add(n int) {
	if n > 0 {
		e.count.Add(uint64(n))
		e.moved = e.pair.loop.Now()
	}
}

// hold keeps a copy of b.
func (e *end) hold(b []byte) {
	if len(b) <= mem.Small {
		e.buf = mem.GetSmall()
	} else {
		e.buf = mem.GetLarge() // as long as Loop.Buffer
	}
	e.held, e.kept = e.buf[:copy(e.buf, b)], false
}

// Flush implements poll.Flusher.
func (e *end) Flush() {
	if e.kept { // otherwise it has been sent meanwhile, or the pair has ended
		e.flush()
	}
}

// flush passes on what is held, and then what there is to read.
func (e *end) flush() (over bool) {
	if len(e.held) > 0 {
		n, err := e.to.fd.Send(e.held)
		if err != nil {
			return e.refused(err)
		}
		e.add(n)
		if e.held = e.held[n:]; len(e.held) > 0 {
			if e.kept {
				e.hold(e.held)
			}
			return false
		}
		e.release()
	}
	return e.pump()
}

func (e *end) release() {
	switch cap(e.buf) {
	case mem.Small:
		mem.PutSmall(e.buf)
	case mem.Large:
		mem.PutLarge(e.buf)
	}
	e.buf, e.held, e.kept = nil, nil, false
}
