// Package tcp relays connections: what a client sends goes to a backend as it
// is, and back.
//
// proxy/listener hands it connections of TCP listeners, of TLS listeners that
// pass TLS through (with the bytes that were read to find the server name) and
// of those that end TLS (after the handshake); the Route says where they go. It
// calls stream and upstream for a connection to a backend.
//
// One end that finishes sending does not end the other: the end is passed on,
// and the other direction lasts until it finishes too. A quiet connection holds
// no buffer; one in bulk is copied by the kernel where it can. A connection that
// no backend can take is reset.
package tcp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
)

// Config bounds what connections may do. Zero fields mean the default.
type Config struct {
	Idle time.Duration // a connection on which nothing moves in either direction for this long is closed, 1 h
}

// Relay relays connections. Its methods may be called by any goroutine.
type Relay struct{ cfg Config }

// New returns a Relay.
func New(cfg Config) *Relay {
	if cfg.Idle <= 0 {
		cfg.Idle = time.Hour
	}
	return &Relay{cfg}
}

// Serve relays c, a *net.TCPConn or a *tls.Conn after its handshake, of which
// ahead has been read already. It returns when the connection has ended; the
// caller closes c.
func (r *Relay) Serve(c net.Conn, ahead []byte, to *stream.Route) {
	to.Metrics.Connections.Add(1)
	b := to.Pick()
	if b == nil {
		to.Metrics.Refused.Add(1)
		reset(c)
		return
	}
	backend, err := b.Connect()
	if err != nil {
		to.Metrics.Refused.Add(1)
		reset(c)
		return
	}
	defer backend.Close()
	to.Metrics.Open.Add(1)
	defer to.Metrics.Open.Add(-1)
	p := pair{idle: r.cfg.Idle}
	p.moved.Store(time.Now().UnixNano())
	back := make(chan bool, 1)
	go func() { back <- p.copy(c, backend.Conn, &to.Metrics.BytesOut) }()
	ok := p.begin(backend.Conn, ahead, &to.Metrics.BytesIn) && p.copy(backend.Conn, c, &to.Metrics.BytesIn)
	if !ok { // the other direction ends with this one
		_ = backend.Close()
		_ = c.Close()
	}
	if !<-back || !ok {
		to.Metrics.Failed.Add(1)
	}
}

// Reset makes the client see that its connection is refused, and not that it
// has come to a good end.
func reset(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0) // without it the client sees an end instead
	}
}

// pair is the two directions of one connection.
type pair struct {
	idle  time.Duration
	moved atomic.Int64 // when something last did, Unix nanoseconds
}

// begin sends what was read ahead.
func (p *pair) begin(to net.Conn, ahead []byte, count *atomic.Uint64) bool {
	if len(ahead) == 0 {
		return true
	}
	return p.write(to, ahead, count) == nil
}

// copy copies one direction until from ends, and passes the end on. It is false
// when the connection has broken; then both ends are to be closed.
func (p *pair) copy(to, from net.Conn, count *atomic.Uint64) bool {
	err := p.run(to, from, count)
	if err == nil {
		err = to.(interface{ CloseWrite() error }).CloseWrite()
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
	return err == nil
}

func (p *pair) run(to, from net.Conn, count *atomic.Uint64) error {
	tcp, plain := from.(*net.TCPConn)
	if !plain {
		return p.chunks(to, from, count)
	}
	lazy, err := socket.NewLazy(tcp, socket.Buffers{Get: mem.GetLarge, Put: mem.PutLarge})
	if err != nil {
		return err
	}
	for {
		b, err := p.await(from, lazy.Read)
		if err != nil {
			return err
		}
		n := len(b)
		if n > 0 {
			err = p.write(to, b, count)
		}
		lazy.Put(b)
		switch {
		case err != nil || n == 0:
			return err
		case n == mem.Large:
			if end, err := p.bulk(to, tcp, count); err != nil || end {
				return err
			}
		}
	}
}

// chunks copies from a connection that decrypts.
func (p *pair) chunks(to, from net.Conn, count *atomic.Uint64) error {
	b := mem.GetLarge()
	defer mem.PutLarge(b)
	for {
		got, err := p.await(from, func() ([]byte, error) {
			n, err := from.Read(b)
			if n > 0 || errors.Is(err, io.EOF) {
				err = nil // an error that comes with bytes comes again without
			}
			return b[:n], err
		})
		if err != nil || len(got) == 0 {
			return err
		}
		if err := p.write(to, got, count); err != nil {
			return err
		}
	}
}

// burst is how much the kernel copies before it is asked how far it is.
const burst = 256 << 10

// bulk copies while there is much to copy, without a buffer of ours where both
// ends are sockets. end says that from has ended.
func (p *pair) bulk(to net.Conn, from *net.TCPConn, count *atomic.Uint64) (end bool, err error) {
	dst, plain := to.(*net.TCPConn)
	if !plain {
		return false, nil
	}
	now := time.Now()
	if err := errors.Join(from.SetReadDeadline(now.Add(lull)), to.SetWriteDeadline(now.Add(p.idle))); err != nil {
		return false, err
	}
	n, err := io.Copy(dst, &io.LimitedReader{R: from, N: burst})
	p.add(n, count)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(now) < p.idle:
		return false, nil // nothing more to copy at this moment
	case err != nil:
		return false, err
	}
	return n < burst, nil
}

// lull is how long the kernel waits for more before copying ends.
const lull = 100 * time.Millisecond

// await reads, until nothing has moved in either direction for too long.
func (p *pair) await(from net.Conn, read func() ([]byte, error)) ([]byte, error) {
	for {
		if err := from.SetReadDeadline(time.Unix(0, p.moved.Load()).Add(p.idle)); err != nil {
			return nil, err
		}
		b, err := read()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().UnixNano()-p.moved.Load() >= int64(p.idle) {
			return b, err
		}
	}
}

func (p *pair) write(to net.Conn, b []byte, count *atomic.Uint64) error {
	if err := to.SetWriteDeadline(time.Now().Add(p.idle)); err != nil {
		return err
	}
	n, err := to.Write(b)
	p.add(int64(n), count)
	return err
}

func (p *pair) add(n int64, count *atomic.Uint64) {
	if n > 0 {
		count.Add(uint64(n))
		p.moved.Store(time.Now().UnixNano())
	}
}
