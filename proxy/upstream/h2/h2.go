// Package h2 speaks HTTP/2 (RFC 9113) to backends: connections that many
// requests share, and one Stream for each request.
//
// proxy/upstream has a Pool for each endpoint and makes a Stream where a call's
// backend speaks HTTP/2. It reads and writes frames with proxy/frame and decodes
// header blocks with golang.org/x/net/http2/hpack.
//
// A connection has two goroutines: one reads it and wakes the streams that
// something has come for, one sends what they have staged, once nobody who can run
// has more to stage. Its lock guards its streams, their windows and what is staged,
// and is held for moments. The order is: a stream's, a pool's, a connection's; and
// that of a client's connection, which may be held where content passes from there
// (relay.go), comes before.
package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/record"
)

// pingAfter is how long a connection may be silent, while requests wait on it,
// before it has to answer a PING; at most twice that.
const pingAfter = 15 * time.Second

// Servers of gRPC end the connection of a client that sends them more than one PING in five
// minutes while they send neither fields nor content, as to a stream that is silent; they
// forgive two. We count what has come from them, while they may have sent it before a PING,
// so that one of the two stays unused.
const (
	pingApart = 5*time.Minute + pingAfter
	spareAsks = 1
)

// Config bounds what one endpoint may use. Every field is set.
type Config struct {
	Conns          int           // connections
	Streams        int           // requests at one time on a connection, if the backend allows as many
	ConnectTimeout time.Duration // for TLS too
	IdleTimeout    time.Duration // a connection without requests is closed after this long
	WriteTimeout   time.Duration // a backend that reads nothing for this long has failed
	Head           int64         // bytes of an answer's head
	Fields         int           // field lines of an answer's head
	Buffer         int           // bytes of an answer that its client has not taken yet, 64 KiB or more; then the backend waits
	TLS            *tls.Config   // nil: prior knowledge, in the clear
}

// Dialer makes connections.
type Dialer struct {
	cfg    Config
	scheme string
	buffer int64 // what a connection may hold of answers that clients have not taken yet: as much as all its streams, so that one that is full holds up no other
}

// New returns a Dialer.
func New(cfg Config) *Dialer {
	d := &Dialer{cfg: cfg, scheme: "http", buffer: min(max(int64(cfg.Streams)*int64(cfg.Buffer), 64<<10), math.MaxInt32)}
	if cfg.TLS != nil {
		d.scheme = "https"
	}
	return d
}

// What can be wrong before a request is sent.
var (
	ErrFull    = errors.New("h2: all connections to the endpoint carry as many requests as they may")
	ErrConnect = errors.New("h2: the endpoint could not be reached")
	// ErrHandshake says that there is no TLS, or no HTTP/2 over it, that is safe to use.
	ErrHandshake = errors.New("h2: the endpoint was reached, but not over TLS as it must be")
)

// dial makes a connection. The kernel notices a backend that is gone without a word while
// nothing is sent to it.
func (d *Dialer) dial(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.ConnectTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * pingAfter, Interval: pingAfter, Count: 2}}
	nc, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, ErrConnect
	}
	if d.cfg.TLS == nil {
		return nc, nil
	}
	over := tls.Client(record.NewBelow(nc.(*net.TCPConn), nil), d.cfg.TLS)
	if err := over.HandshakeContext(ctx); err != nil || over.ConnectionState().NegotiatedProtocol != "h2" {
		_ = nc.Close()
		return nil, ErrHandshake
	}
	return over, nil
}

// Pool is the connections to one endpoint.
type Pool struct {
	dialer *Dialer
	addr   string

	mu      sync.Mutex // guards what follows; held for moments, never while waiting
	conns   []*conn
	dialing *attempt // the connection under way; nil for none
	closed  bool     // connections end with their last request
}

// attempt is one connection being made, for all that wait for it.
type attempt struct {
	done chan struct{} // closed when err is there
	err  error
}

// Pool returns the empty pool of the endpoint at addr, host:port.
func (d *Dialer) Pool(addr string) *Pool { return &Pool{dialer: d, addr: addr} }

// attempts is how many fresh connections, more than there may be, one request waits
// for, when others are quicker to fill them or the backend closes them at once.
const attempts = 3

// acquire returns a connection with room for one request, kept for the caller. It
// waits until at the latest.
func (p *Pool) acquire(ctx context.Context, at time.Time) (*conn, error) {
	for range p.dialer.cfg.Conns + attempts {
		c, dial, err := p.look()
		if c != nil || err != nil {
			return c, err
		}
		if err := dial.wait(ctx, at); err != nil {
			return nil, err
		}
	}
	c, _, err := p.look()
	if c == nil && err == nil {
		err = ErrFull
	}
	return c, err
}

// wait waits for a connection to be made.
func (a *attempt) wait(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// look returns a connection with room, or the attempt to wait for.
func (p *Pool) look() (*conn, *attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := 0
	for _, c := range p.conns {
		switch c.reserve() {
		case reserved:
			return c, nil, nil
		case over:
			gone++
		}
	}
	if gone > 0 {
		p.prune()
	}
	if p.dialing == nil {
		if len(p.conns) >= p.dialer.cfg.Conns {
			return nil, nil, ErrFull
		}
		p.dialing = &attempt{done: make(chan struct{})}
		go p.dial(p.dialing)
	}
	return nil, p.dialing, nil
}

// dial makes a connection; whoever waits for it may give up before.
func (p *Pool) dial(a *attempt) {
	nc, err := p.dialer.dial(p.addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		c := newConn(p.dialer, nc)
		p.conns = append(p.conns, c)
		if p.closed {
			c.retire(true)
		}
	}
	p.dialing, a.err = nil, err
	close(a.done)
}

// prune drops connections that take no further request; those that still have
// some close with the last of them.
func (p *Pool) prune() {
	kept := p.conns[:0]
	for _, c := range p.conns {
		if !c.gone() {
			kept = append(kept, c)
		}
	}
	clear(p.conns[len(kept):])
	p.conns = kept
}

// Reap forgets connections that have ended. IdleTimeout ends them.
func (p *Pool) Reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
}

// Connections returns how many there are.
func (p *Pool) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Close closes each connection as soon as it carries no request. Requests that come
// still, from who has found the pool before, are sent.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.conns {
		c.retire(false)
	}
}
