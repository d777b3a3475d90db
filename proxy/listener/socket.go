package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/relay"
	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// socket is one listening socket with its connections.
type socket struct {
	set       *Set
	id        uint32
	ln        *tcp.Listener
	protocols Protocols
	tls       *tls.Config // one for the socket's life
	relayed   *tls.Config // the same for TLS that ends here and is relayed: it negotiates no protocol
	metrics   *telemetry.Port
	crowd     *crowd

	mu       sync.Mutex // also guards client.resting
	clients  map[*client]struct{}
	ended    bool // nobody rests any more
	starting sync.Once
	stopped  chan struct{}  // closed when nothing is accepted any more
	running  sync.WaitGroup // the accept loop and the connections
}

func newSocket(s *Set, id uint32, ln *tcp.Listener) *socket {
	k := &socket{set: s, id: id, ln: ln, protocols: s.cfg.Protocols(), clients: map[*client]struct{}{}, stopped: make(chan struct{})}
	k.metrics = s.cfg.Metrics.Port(ln.Addr().String())
	k.crowd = newCrowd(k.metrics)
	k.tls = offer(minVersion, "h2", "http/1.1")
	k.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if p := s.cfg.Current()[id]; p != nil {
			return p.handshake(hello), nil
		}
		return nil, nil
	}
	k.tls.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if p := s.cfg.Current()[id]; p != nil {
			return p.certificate(hello), nil
		}
		return nil, nil
	}
	s.resume(k.tls, nil)
	k.relayed = k.tls.Clone()
	k.relayed.NextProtos, k.relayed.GetConfigForClient = nil, nil // GEP-91 is about HTTPS
	return k
}

// minVersion is the oldest TLS over TCP; HTTP/3 takes 1.3 alone.
const minVersion = tls.VersionTLS12

// offer is what every handshake has in common: the protocols, and which methods are
// good enough. Of key exchanges NIST P-521 is left out: nobody needs it, and it takes the server 25
// times as long as X25519, at the asking of whoever sends a hello.
func offer(version uint16, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: version,
		NextProtos: protocols,
		// Those of TLS 1.2 that keep what was said secret when a key is lost, and that seal a
		// record in one step; HTTP/2 takes no others (RFC 9113, section 9.2.2). Of TLS 1.3
		// all are so.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		CurvePreferences: []tls.CurveID{
			tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024,
			tls.X25519, tls.CurveP256, tls.CurveP384,
		},
	}
}

// start begins accepting, once.
func (k *socket) start() {
	k.starting.Do(func() {
		k.running.Go(func() {
			defer close(k.stopped)
			k.accept()
		})
	})
}

// lastCall is how long a socket that stops still accepts: clients whose
// connections the kernel has made and we have not yet seen would be reset.
const lastCall = 10 * time.Millisecond

// stop ends accepting and closes the listening socket.
func (k *socket) stop() {
	k.starting.Do(func() { close(k.stopped) }) // it never began
	if k.ln.SetDeadline(time.Now().Add(lastCall)) == nil {
		<-k.stopped
	}
	_ = k.ln.Close()
}

// firstRequest is how long a connection that came last may take to send its
// request before connections without one are closed.
const firstRequest = 200 * time.Millisecond

// notice is how long the end of a drain waits for those to leave whose connection it
// has broken. Who waits for a backend just then finds out later.
const notice = time.Second

// drain waits for the connections of a stopped socket to finish. What is left
// when ctx ends is broken off.
func (k *socket) drain(ctx context.Context) {
	k.protocols.Finish()
	done := make(chan struct{})
	go func() {
		k.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-time.After(firstRequest):
	case <-ctx.Done():
	}
	k.protocols.Drain()
	k.rouse()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	left := map[*net.TCPConn]bool{}
	k.mu.Lock()
	for c := range k.clients {
		left[c.conn.Known()] = true
		c.conn.Break()
	}
	k.mu.Unlock()
	relay.Break(k.set.cfg.Loops, func(client *net.TCPConn) bool { return left[client] })
	select {
	case <-done:
	case <-time.After(notice):
	}
}

// The wait after an accept that failed, for want of descriptors as a rule.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

func (k *socket) accept() {
	backoff := minBackoff
	c := k.newClient()
	for {
		err := k.ln.Accept(&c.conn)
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			k.metrics.AcceptErrors.Add(1)
			time.Sleep(backoff)
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		if !k.set.enter(k.crowd) {
			k.refuse(&c.conn)
			continue
		}
		c.begin()
		c = k.newClient()
	}
}

const codeTooMany = "too_many_connections"

// tooMany is what a client over the limit is told. A new socket's buffer takes it without waiting.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: 96\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\n" +
	`{"type":"about:blank","title":"Service Unavailable","status":503,"code":"` + codeTooMany + `"}` + "\n"

// refuse closes, and answers where HTTP is spoken in the clear: to answer a TLS client would take a handshake.
func (k *socket) refuse(c *tcp.Accepted) {
	if p := k.set.cfg.Current()[k.id]; p != nil && p.kind == plain {
		_, _ = tcp.WriteNow(c, []byte(tooMany)) // it may be gone already
	}
	_ = c.Close()
}
