// Package h2 speaks HTTP/2 (RFC 9113) to backends: connections that many
// requests share, and one Stream for each request.
//
// proxy/upstream has a Pool for each endpoint and makes a Stream where a call's
// backend speaks HTTP/2. It calls net/http, whose ClientConn is one connection
// with its framing, flow control and header compression.
package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// What a connection may hold in memory of answers that clients have not taken yet.
// A full stream never holds up the others, as long as
// Config.Streams times the one is not more than the other.
const (
	streamBuffer     = 256 << 10
	connectionBuffer = 64 << 20
)

// pingAfter is how long a connection may be silent, while requests wait on it,
// before it has to answer a PING.
const pingAfter = 15 * time.Second

// Config bounds what one endpoint may use. Every field is set.
type Config struct {
	Conns          int           // connections
	Streams        int           // requests at one time on a connection, if the backend allows as many
	ConnectTimeout time.Duration // for TLS too
	IdleTimeout    time.Duration // a connection without requests is closed after this long
	WriteTimeout   time.Duration // a backend that reads nothing for this long has failed
	Head           int64         // bytes of an answer's head
	Fields         int           // field lines of an answer's head
	TLS            *tls.Config   // nil: prior knowledge, in the clear
}

// Dialer makes connections.
type Dialer struct {
	cfg       Config
	scheme    string
	transport *http.Transport
}

// New returns a Dialer.
func New(cfg Config) *Dialer {
	d := &Dialer{cfg: cfg, scheme: "http"}
	if cfg.TLS != nil {
		d.scheme = "https"
	}
	dial := net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: -1}
	d.transport = &http.Transport{
		DialContext:            dial.DialContext,
		TLSClientConfig:        cfg.TLS,
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		DisableCompression:     true,
		IdleConnTimeout:        cfg.IdleTimeout,
		MaxResponseHeaderBytes: cfg.Head,
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: connectionBuffer,
			MaxReceiveBufferPerStream:     streamBuffer,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingAfter,
			WriteByteTimeout:              cfg.WriteTimeout,
		},
	}
	d.transport.Protocols.SetUnencryptedHTTP2(cfg.TLS == nil)
	d.transport.Protocols.SetHTTP2(cfg.TLS != nil)
	return d
}

// What can be wrong before a request is sent.
var (
	ErrFull    = errors.New("h2: all connections to the endpoint carry as many requests as they may")
	ErrConnect = errors.New("h2: the endpoint could not be reached")
	// ErrHandshake says that there is no TLS, or no HTTP/2 over it, that is safe to use.
	ErrHandshake = errors.New("h2: the endpoint was reached, but not over TLS as it must be")
)

// Pool is the connections to one endpoint.
type Pool struct {
	dialer *Dialer
	addr   string

	mu      sync.Mutex // guards what follows; held for moments, never while waiting
	conns   []*http.ClientConn
	dialing *attempt // the connection under way; nil for none
	closed  bool     // nothing new is kept
}

// attempt is one connection being made, for all that wait for it.
type attempt struct {
	done chan struct{} // closed when err is there
	err  error
}

// Pool returns the empty pool of the endpoint at addr, host:port.
func (d *Dialer) Pool(addr string) *Pool { return &Pool{dialer: d, addr: addr} }

// attempts is how many fresh connections one request waits for, when others are
// quicker to fill them or the backend closes them at once.
const attempts = 3

// acquire returns a connection with room for one request, kept for the caller.
func (p *Pool) acquire(ctx context.Context) (*http.ClientConn, error) {
	for range attempts {
		c, dial, err := p.look()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-dial.done:
			if dial.err != nil {
				return nil, p.dialer.failure(dial.err)
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	c, _, err := p.look()
	if c == nil && err == nil {
		err = ErrFull
	}
	return c, err
}

// failure names what went wrong with a connection.
func (d *Dialer) failure(err error) error {
	if op := (*net.OpError)(nil); d.cfg.TLS == nil || errors.As(err, &op) && op.Op == "dial" {
		return ErrConnect
	}
	return ErrHandshake
}

// look returns a connection with room, or the attempt to wait for.
func (p *Pool) look() (*http.ClientConn, *attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	for _, c := range p.conns {
		if c.InFlight() < p.dialer.cfg.Streams && c.Reserve() == nil {
			return c, nil, nil
		}
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
	ctx, cancel := context.WithTimeout(context.Background(), p.dialer.cfg.ConnectTimeout)
	defer cancel()
	c, err := p.dialer.transport.NewClientConn(ctx, p.dialer.scheme, p.addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.conns = append(p.conns, c)
		if p.closed {
			p.finish(c)
		}
	}
	p.dialing, a.err = nil, err
	close(a.done)
}

// prune drops connections that can take no further request; those that still
// have some close with the last of them.
func (p *Pool) prune() {
	kept := p.conns[:0]
	for _, c := range p.conns {
		switch {
		case c.Err() != nil:
		case c.Available() == 0 && c.InFlight() == 0: // the backend is going away
			_ = c.Close() // nothing is lost with it
		default:
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

// Close closes each connection as soon as it carries no request.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.conns {
		p.finish(c)
	}
}

func (p *Pool) finish(c *http.ClientConn) {
	end := func(c *http.ClientConn) {
		if c.InFlight() == 0 {
			_ = c.Close() // nothing is lost with it
		}
	}
	c.SetStateHook(end)
	end(c)
}
