package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Ahead is a connection of which some bytes have been read already. They belong
// to whoever made it.
type Ahead struct {
	net.Conn
	Bytes []byte
}

// Read implements io.Reader.
func (a *Ahead) Read(p []byte) (int, error) {
	if len(a.Bytes) > 0 {
		n := copy(p, a.Bytes)
		a.Bytes = a.Bytes[n:]
		return n, nil
	}
	return a.Conn.Read(p)
}

// CloseWrite tells the peer that no more comes.
func (a *Ahead) CloseWrite() error { return closeWrite(a.Conn) }

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// Relay is two connections of which each gets what the other sends. A quiet TCP
// connection holds no buffer; one in bulk is copied by the kernel where it can.
type Relay struct {
	Idle time.Duration // both end when nothing has moved in either direction for this long

	moved atomic.Int64 // when something last did, Unix nanoseconds
}

// Copy copies one direction until from ends, and passes the end on. It is false
// when the connection has broken; then both ends have been closed. The other
// direction is another goroutine's Copy.
func (r *Relay) Copy(to, from net.Conn, count *atomic.Uint64) bool {
	r.moved.CompareAndSwap(0, time.Now().UnixNano())
	w := flow{Relay: r, to: to, count: count}
	if a, ok := to.(*Ahead); ok {
		w.to = a.Conn
	}
	err := w.run(from)
	if err == nil {
		err = closeWrite(to)
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
	return err == nil
}

// flow is one direction of a Relay.
type flow struct {
	*Relay
	to    net.Conn
	sock  *Conn // to, when it is TCP: it writes without telling the scheduler
	count *atomic.Uint64
	until time.Time // the write deadline that is armed, without sock
}

func (f *flow) run(from net.Conn) error {
	if t, ok := f.to.(*net.TCPConn); ok && Raw {
		var err error
		if f.sock, err = New(t, f.Idle); err != nil {
			return err
		}
	}
	if a, ok := from.(*Ahead); ok {
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
	lazy, err := NewLazy(from, Buffers{Get: mem.GetLarge, Put: mem.PutLarge})
	if err != nil {
		return err
	}
	done := 0 // bytes that have been sent of the piece which was not taken
	take := func(b []byte) bool {
		done = 0
		if f.sock == nil || len(b) == 0 || len(b) == mem.Large {
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
		switch {
		case err != nil || n == 0:
			return err
		case n == mem.Large:
			if end, err := f.bulk(from); err != nil || end {
				return err
			}
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

// burst is how much the kernel copies before it is asked how far it is.
const burst = 256 << 10

// bulk copies while there is much to copy, without a buffer of ours where both
// ends are sockets. end says that from has ended.
func (f *flow) bulk(from *net.TCPConn) (end bool, err error) {
	dst, plain := f.to.(*net.TCPConn)
	if !plain {
		return false, nil
	}
	now := time.Now()
	f.until = time.Time{}
	if f.sock != nil {
		f.sock.wr.until = time.Time{}
	}
	if err := errors.Join(from.SetReadDeadline(now.Add(lull)), dst.SetWriteDeadline(now.Add(f.Idle))); err != nil {
		return false, err
	}
	n, err := io.Copy(dst, &io.LimitedReader{R: from, N: burst})
	f.add(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(now) < f.Idle:
		return false, nil // nothing more to copy at this moment
	case err != nil:
		return false, err
	}
	return n < burst, nil
}

// lull is how long the kernel waits for more before copying ends.
const lull = 100 * time.Millisecond

// await reads, until nothing has moved in either direction for too long.
func (f *flow) await(from net.Conn, read func() ([]byte, error)) ([]byte, error) {
	for {
		if err := from.SetReadDeadline(time.Unix(0, f.moved.Load()).Add(f.Idle)); err != nil {
			return nil, err
		}
		b, err := read()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().UnixNano()-f.moved.Load() >= int64(f.Idle) {
			return b, err
		}
	}
}

// write writes all of b, waiting from Idle to twice that.
func (f *flow) write(b []byte) error {
	var n int
	var err error
	if f.sock != nil {
		n, err = f.sock.Write(b)
	} else {
		if now := time.Now(); f.until.Sub(now) < f.Idle {
			f.until = now.Add(2 * f.Idle)
			if err := f.to.SetWriteDeadline(f.until); err != nil {
				return err
			}
		}
		n, err = f.to.Write(b)
	}
	f.add(int64(n))
	return err
}

func (f *flow) add(n int64) {
	if n > 0 {
		f.count.Add(uint64(n))
		f.moved.Store(time.Now().UnixNano())
	}
}
