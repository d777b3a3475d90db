package record

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// Below is a TCP connection as crypto/tls is given it. It is that connection,
// with what was read ahead of it in front, but while a Conn drives it.
type Below struct {
	net.Conn // *net.TCPConn
	ahead    []byte
	by       *Conn // nil: nobody
	hasty    bool
	until    atomic.Int64 // the write deadline, in nanoseconds since 1970; 0: none
	records  records
	hello    hello
	told     bool // whoever reads says when content comes
	idle     int  // bytes that have come since it did, or somebody has begun to say so
}

// NewBelow returns a Below of c, of which ahead has been read already.
func NewBelow(c *net.TCPConn, ahead []byte) *Below { return &Below{Conn: c, ahead: ahead} }

func (b *Below) tcp() *net.TCPConn { return b.Conn.(*net.TCPConn) }

// Read implements io.Reader. One goroutine calls it at a time.
func (b *Below) Read(p []byte) (n int, err error) {
	switch {
	case b.told && b.idle > mostIdle:
		return 0, errIdle
	case len(b.ahead) > 0:
		n = copy(p, b.ahead)
		if b.ahead = b.ahead[n:]; len(b.ahead) == 0 {
			b.ahead = nil
		}
	case b.by != nil:
		n, err = b.by.fetch(p)
	default:
		n, err = b.Conn.Read(p)
	}
	if b.told {
		b.idle += n
	}
	b.records.follow(p[:n])
	if b.hello.room != nil && !b.hello.take(n) {
		return 0, errHello
	}
	return n, err
}

// Write implements io.Writer. One goroutine calls it at a time.
func (b *Below) Write(p []byte) (int, error) {
	switch {
	case b.by != nil:
		return b.by.sock.Write(p)
	case b.hasty:
		return socket.WriteNow(b.tcp(), p)
	}
	if err := b.allow(time.Now()); err != nil {
		return 0, err
	}
	n, err := b.Conn.Write(p)
	if err != nil {
		b.until.Store(never) // part of a record may have gone: an alert behind it waits for nothing
	}
	return n, err
}

// answerTime is how long a peer may take for what crypto/tls writes of itself.
const answerTime = 30 * time.Second

// never is the write deadline of a connection that has said its last.
const never = 1

// allow gives a write that nobody has set a deadline for one of its own: crypto/tls answers a
// peer's key update while somebody reads. A deadline that passed since the last write would
// break the connection, and without any a peer that takes nothing would keep its reader.
func (b *Below) allow(now time.Time) error {
	if until := b.until.Load(); until == never || until > now.UnixNano() {
		return nil
	}
	return b.SetWriteDeadline(now.Add(answerTime))
}

// SetWriteDeadline implements net.Conn. One that is not to come lets nothing more be written.
func (b *Below) SetWriteDeadline(t time.Time) error {
	switch {
	case t.IsZero():
		b.until.Store(0)
	case t.After(time.Now()):
		b.until.Store(t.UnixNano())
	default:
		b.until.Store(never)
	}
	return b.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (b *Below) SetDeadline(t time.Time) error {
	return errors.Join(b.SetReadDeadline(t), b.SetWriteDeadline(t))
}

// Hasten makes every Write to come give the kernel what it takes at once, and fail
// with the rest: for last words, which are worth no wait.
func (b *Below) Hasten() { b.hasty = true }

// SetLinger is net.TCPConn's.
func (b *Below) SetLinger(seconds int) error { return b.tcp().SetLinger(seconds) }

// records follows where records begin and end in what crypto/tls is given (RFC
// 8446, section 5.1): it reads each of them once, in whole, and tells nobody
// whether it has more.
type records struct {
	head  [5]byte
	have  int // how much of head has come; 0 when all of it has
	left  int // bytes of the record's content still to come
	begun int // records of which crypto/tls may still have something
}

func (r *records) follow(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		if r.have == 0 {
			r.begun++
		}
		n := copy(r.head[r.have:], p)
		p = p[n:]
		if r.have += n; r.have == len(r.head) {
			r.have, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
}

// none says that crypto/tls has read all records that are whole.
func (r *records) none() {
	r.begun = 0
	if r.within() {
		r.begun = 1
	}
}

// within reports whether a record has begun and not ended.
func (r *records) within() bool { return r.have > 0 || r.left > 0 }

// one says that crypto/tls has handed over a record to its end, and reports
// whether that was all it had.
func (r *records) one() bool {
	if r.begun == 1 && !r.within() {
		r.begun = 0
	}
	return r.begun == 0
}
