package listener

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/record"
	"github.com/gatehouse-dev/gatehouse/proxy/sni"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// serveTLS serves HTTP over TLS.
func (c *client) serveTLS(s *tls.Conn) {
	k, conn := c.socket, &c.info
	if !c.handshake(s) {
		c.end(false)
		return
	}
	state := s.ConnectionState()
	conn.TLS, conn.SNI = true, strings.ToLower(state.ServerName)
	if len(state.PeerCertificates) > 0 {
		conn.Client = exchange.NewClient(state.PeerCertificates)
	}
	if p := k.set.cfg.Current()[k.id]; p != nil && p.altSvc != "" {
		if e := p.names.find(conn.SNI); e != nil && e.listener.HTTP3 != 0 {
			conn.AltSvc = p.altSvc
		}
	}
	if state.NegotiatedProtocol != "h2" {
		c.speak(s)
		return
	}
	conn.Protocol = "HTTP/2.0"
	k.protocols.HTTP2(record.Told(s), conn)
	goodbye(s)
	c.end(false)
}

// handshake reports whether the client has shaken hands. What that took of the room for large
// ones is kept until the end of the connection, as crypto/tls keeps its buffers.
func (c *client) handshake(s *tls.Conn) bool {
	k := c.socket
	b, bounded := s.NetConn().(*record.Below)
	if bounded = bounded && k.set.cfg.Hellos != nil; bounded {
		b.Bound(k.set.cfg.Hellos)
	}
	err := s.SetDeadline(time.Now().Add(k.set.cfg.Limits.Handshake))
	if err == nil {
		err = s.Handshake()
	}
	if bounded {
		c.hello = b.Unbound()
	}
	if err == nil {
		err = s.SetDeadline(time.Time{})
	}
	if err != nil {
		k.metrics.HandshakeErrors.Add(1)
	}
	return err == nil
}

// goodbye tells the client that nothing was cut off.
func goodbye(c *tls.Conn) {
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
		_ = c.Close()
	}
}

// serveMixed serves a port on which the server name says what becomes of a
// connection: relayed as it is, relayed after TLS has ended here, or HTTP. One
// that no listener or no stream takes is closed without an alert: whose it would
// be is not known.
func (c *client) serveMixed(tcp *net.TCPConn, p *Port) {
	s, ok := c.relay(tcp, p)
	if ok {
		c.serveTLS(s)
		return
	}
	c.end(false)
}

// relay relays the connection if that is what becomes of it; otherwise ok is true
// and s is what HTTP is to be spoken on.
func (c *client) relay(tcp *net.TCPConn, p *Port) (s *tls.Conn, ok bool) {
	k := c.socket
	b := mem.GetLarge()
	n, name, err := k.hello(tcp, b)
	ahead := append([]byte(nil), b[:n]...)
	mem.PutLarge(b)
	if err != nil {
		k.metrics.HandshakeErrors.Add(1)
		return nil, false
	}
	e := p.names.find(name)
	if e == nil {
		k.metrics.HandshakeErrors.Add(1)
		return nil, false
	}
	if e.listener.Protocol == table.HTTPS {
		return tls.Server(record.NewBelow(tcp, ahead), k.tls), true
	}
	to := e.streams.find(name)
	switch {
	case to == nil:
		k.metrics.HandshakeErrors.Add(1)
	case !to.Table.Terminate:
		k.set.cfg.Streams.TCP(tcp, ahead, to)
	default:
		if s := tls.Server(record.NewBelow(tcp, ahead), k.relayed); c.handshake(s) {
			k.set.cfg.Streams.TCP(record.Told(s), nil, to)
			goodbye(s)
		}
	}
	return nil, false
}

// helloTime is how long a client may take to say which server it wants.
const helloTime = 5 * time.Second

// hello reads until the server name is known.
func (k *socket) hello(c *net.TCPConn, b []byte) (n int, name string, err error) {
	if err = c.SetReadDeadline(time.Now().Add(min(helloTime, k.set.cfg.Limits.Handshake))); err != nil {
		return 0, "", err
	}
	for {
		got, err := c.Read(b[n:])
		if n += got; err != nil {
			return n, "", err
		}
		name, done, err := sni.Parse(b[:n])
		if err != nil || done {
			return n, name, errors.Join(err, c.SetReadDeadline(time.Time{}))
		}
		if n == len(b) {
			return n, "", sni.ErrTooLarge
		}
	}
}
