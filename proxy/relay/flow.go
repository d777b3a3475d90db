package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// flows is a relay with a goroutine for each direction.
type flows struct {
	idle  time.Duration
	began time.Time    // from which moved counts: a wall clock that is set ends no relay, and keeps none
	moved atomic.Int64 // when something last did
}

// copy copies one direction until from ends, and passes the end on. It is false
// when the connection has broken; then both ends have been closed, or the other direction,
// which is another goroutine's copy, ends by itself.
func (r *flows) copy(to, from net.Conn, count *atomic.Uint64) bool {
	w := flow{flows: r, to: to, count: count}
	if a, ok := to.(*socket.Ahead); ok {
		w.to = a.Conn
	}
	err := w.run(from)
	switch {
	case err == nil:
		err = socket.CloseWrite(to)
	case w.refused: // what to said before it went, such as why, may still be here: the other direction ends soon, and then both
		return false
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
	return err == nil
}

// flow is one direction of flows.
type flow struct {
	*flows
	to    net.Conn
	sock  *socket.Conn // to, when it is TCP: it writes without telling the scheduler
	count *atomic.Uint64
	until time.Time // the write deadline that is armed, without sock

	refused bool // to has gone and takes no more
}

func (f *flow) run(from net.Conn) error {
	if t, ok := f.to.(*net.TCPConn); ok && socket.Raw {
		var err error
		if f.sock, err = socket.New(t, f.idle); err != nil {
			return err
		}
	}
	if a, ok := from.(*socket.Ahead); ok {
		if len(a.Bytes) > 0 {
			if err := f.write(a.Bytes); err != nil {
				return err
			}
			a.Bytes = nil
		}
		from = a.Conn
	}
	if t, ok := from.(*net.TCPConn); ok {
		return f.pieces(t)
	}
	return f.chunks(from)
}

// pieces copies from a socket.
func (f *flow) pieces(from *net.TCPConn) error {
	lazy, err := socket.NewLazy(from)
	if err != nil {
		return err
	}
	done := 0 // bytes that have been sent of the piece which was not taken
	take := func(b []byte) bool {
		done = 0
		if f.sock == nil || len(b) == 0 {
			return false
		}
		n, err := f.sock.TryWrite(b)
		if done = n; err != nil {
			return false
		}
		f.add(int64(n))
		return true
	}
	for {
		b, err := f.await(from, func() ([]byte, error) { return lazy.Each(take) })
		if err != nil {
			return err
		}
		n := len(b)
		f.add(int64(done))
		if n > 0 {
			err = f.write(b[done:])
		}
		lazy.Put(b)
		if err != nil || n == 0 {
			return err
		}
	}
}

// chunks copies from a connection that decrypts.
func (f *flow) chunks(from net.Conn) error {
	b := mem.GetLarge()
	defer mem.PutLarge(b)
	for {
		got, err := f.await(from, func() ([]byte, error) {
			n, err := from.Read(b)
			if n > 0 || errors.Is(err, io.EOF) {
				err = nil // an error that comes with bytes comes again without
			}
			return b[:n], err
		})
		if err != nil || len(got) == 0 {
			return err
		}
		if err := f.write(got); err != nil {
			return err
		}
	}
}

// await reads, until nothing has moved in either direction for too long.
func (f *flow) await(from net.Conn, read func() ([]byte, error)) ([]byte, error) {
	for {
		if err := from.SetReadDeadline(f.began.Add(time.Duration(f.moved.Load()) + f.idle)); err != nil {
			return nil, err
		}
		b, err := read()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(f.began)-time.Duration(f.moved.Load()) >= f.idle {
			return b, err
		}
	}
}

// write writes all of b, waiting from idle to twice that.
func (f *flow) write(b []byte) error {
	var n int
	var err error
	if f.sock != nil {
		n, err = f.sock.Write(b)
	} else {
		if now := time.Now(); f.until.Sub(now) < f.idle {
			f.until = now.Add(2 * f.idle)
			if err := f.to.SetWriteDeadline(f.until); err != nil {
				return err
			}
		}
		n, err = f.to.Write(b)
	}
	f.add(int64(n))
	f.refused = gone(err)
	return err
}

func (f *flow) add(n int64) {
	if n > 0 {
		f.count.Add(uint64(n))
		f.moved.Store(int64(time.Since(f.began)))
	}
}
