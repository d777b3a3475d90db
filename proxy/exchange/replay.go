package exchange

import (
	"errors"
	"io"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Memory is what an exchange has of the process's.
type Memory struct {
	Arena mem.Arena // lives as long as the exchange
	Held  Held      // the room for content that is held; nil: there is no end to it
	held  int       // what x has of that
}

// Held is the room for content that requests hold in memory, of all of them together.
type Held interface {
	Take(n int) bool // n bytes more are held; false: there is no room for that
	Give(n int)      // as much as Take was called with, whatever it said
	Enter(n int)     // waits until content of n bytes may be taken apart, into much more than it is
	Leave(n int)     // has done so
}

// ownContent is what content may take that counts with the request itself.
const ownContent = 16 << 10

// littleContent is content that is taken apart in less than a millisecond.
const littleContent = 2 << 10

var errFull = &Error{Status: 503, Code: "overloaded", Detail: "the gateway holds all the content of requests it takes", RetryAfter: time.Second}

// take counts that a buffer of content has grown, and reports whether there is room for it.
func (m *Memory) take(before, after int) bool {
	if m.Held == nil || after == before || after <= ownContent {
		return true
	}
	if before <= ownContent {
		before = 0
	}
	m.held += after - before
	return m.Held.Take(after - before)
}

// Release gives back the room for content that Hold has taken, and has it take no more: the
// exchange may be used again for a request that nobody takes on.
func (m *Memory) Release() {
	if m.held > 0 {
		m.Held.Give(m.held)
	}
	m.Held, m.held = nil, 0
}

// Apart calls f, which takes content of so many bytes apart, when it is its turn: what is
// small need not wait.
func (m *Memory) Apart(size int, f func()) {
	if m.Held != nil && size > littleContent {
		m.Held.Enter(size)
		defer m.Held.Leave(size)
	}
	f()
}

// ErrTooLarge is why content was not held.
var ErrTooLarge = errors.New("the content is larger than what is held in memory")

// ErrNoRoom is why content was not held.
var ErrNoRoom = errors.New("more content is held in memory than there is room for")

// Room is for content that many requests hold at one time.
type Room interface {
	Take(n int) bool
}

// Hold reads the request's content, at most most bytes and as much as room has, which
// may be nil, and x.Held, to the end of buf, which grows where that is too small. x.Request.Body
// gives it again whatever happens, and what follows it. With ErrTooLarge, ErrNoRoom or
// what reading failed with, an *Error where x.Held is full, comes what was read till then.
func (x *Exchange) Hold(buf []byte, most int64, room Room) ([]byte, error) {
	body := x.Request.Body
	for {
		p, err := body.Next()
		before := cap(buf)
		buf = append(buf, p...)
		switch {
		case int64(len(buf)) > most:
			x.Request.Body = replay(buf, err, body)
			return buf, ErrTooLarge
		case len(p) > 0 && room != nil && !room.Take(len(p)):
			x.Request.Body = replay(buf, err, body)
			return buf, ErrNoRoom
		case !x.take(before, cap(buf)):
			x.Request.Body = replay(buf, err, body)
			return buf, errFull
		case err == io.EOF && len(buf) > 0:
			x.Request.Body = &Buffered{Content: buf}
			return buf, nil
		case err == io.EOF:
			x.Request.Body = replay(nil, io.EOF, body)
			return nil, nil
		case err != nil:
			x.Request.Body = replay(buf, err, body)
			return buf, err
		}
	}
}

// replay returns content of which the beginning has been read already: head,
// then what reading ended with if that is not nil, else what rest still gives.
func replay(head []byte, err error, rest Body) Body {
	return &replayed{Body: rest, head: head, err: err}
}

type replayed struct {
	Body // the rest
	head []byte
	err  error
}

// Next implements Body.
func (r *replayed) Next() ([]byte, error) {
	switch {
	case len(r.head) > 0:
		p := r.head
		r.head = nil
		return p, nil
	case r.err != nil:
		return nil, r.err
	}
	return r.Body.Next()
}
