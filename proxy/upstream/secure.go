package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/record"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream/h2"
)

// sessions is how many TLS sessions of one backend are kept for resumption.
const sessions = 64

var errInsecure = &exchange.Error{Status: 502, Code: "backend_tls_failed", Detail: "the backend's certificate was not accepted, or it takes no TLS"}

// security is how the endpoints of one backend are reached over TLS: what they
// negotiate depends on what is to be sent.
type security struct {
	http   *tls.Config // for HTTP/1.1
	stream *tls.Config // for bytes as they come: it negotiates nothing
	dialer *h2.Dialer  // for HTTP/2
}

// Secure makes the backend of that id be reached over TLS; it is called at swap,
// before anything is sent there. The settings of one id never change. With
// settings that cannot be used no connection is ever made.
func (s *Set) Secure(id string, t *table.BackendTLS) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.backend(id)
	if b.secure.Load() != nil {
		return
	}
	config, err := clientConfig(t)
	if err != nil {
		config = &tls.Config{ServerName: t.ServerName, VerifyConnection: func(tls.ConnectionState) error { return err }}
	}
	secure := &security{http: config, stream: config.Clone()}
	secure.stream.NextProtos = nil
	over := config.Clone()
	over.NextProtos = []string{"h2"}
	secure.dialer = h2.New(s.cfg.streams(over))
	b.secure.Store(secure)
	m := b.members.Load()
	for _, e := range slices.Concat(m.live, m.draining) { // they came ahead of the table
		e.streams.Store(secure.dialer.Pool(e.name))
	}
}

func clientConfig(t *table.BackendTLS) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName, ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		NextProtos: []string{"http/1.1"},
	}
	if len(t.CAs) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(t.CAs) {
			return nil, errors.New("no certificate of an authority can be read")
		}
	}
	if t.Client != nil {
		pair, err := tls.X509KeyPair(t.Client.Chain, t.Client.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", t.Client.ID, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if len(t.SANs) > 0 {
		// The name asked for is not the one that must be in the certificate, so the
		// check of both chain and name is ours.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, c.RootCAs, t.SANs) }
	}
	return c, nil
}

// verify checks that a certificate leads to one of the roots (nil: the system's)
// and has one of the names.
func verify(chain []*x509.Certificate, roots *x509.CertPool, names []table.SubjectAlt) error {
	if len(chain) == 0 {
		return errors.New("the backend shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	for _, name := range names {
		if carries(chain[0], name) {
			return nil
		}
	}
	return errors.New("the backend's certificate has none of the names")
}

// carries reports whether a certificate has a name. A name with a wildcard must
// stand in it as it is written.
func carries(leaf *x509.Certificate, name table.SubjectAlt) bool {
	if name.URI != "" {
		for _, uri := range leaf.URIs {
			if uri.String() == name.URI {
				return true
			}
		}
		return false
	}
	return slices.Contains(leaf.DNSNames, name.Hostname) || leaf.VerifyHostname(name.Hostname) == nil
}

// handshake makes c a TLS connection, by the deadline at the latest.
func (e *Endpoint) handshake(c *net.TCPConn, config *tls.Config, now, deadline time.Time) (*tls.Conn, error) {
	until := now.Add(e.cfg.ConnectTimeout)
	if !deadline.IsZero() && deadline.Before(until) {
		until = deadline
	}
	t := tls.Client(record.NewBelow(c, nil), config)
	if err := t.SetDeadline(until); err != nil {
		return nil, err
	}
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	return t, t.SetDeadline(time.Time{})
}

// The methods of a Conn that TLS changes.

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if c.secure == nil {
		return c.Conn.Read(p)
	}
	return c.decrypt(p)
}

// decrypt reads what TLS carries. With TLS 1.2 the backend's close may be found together
// with the last it has sent; it comes again without.
func (c *Conn) decrypt(p []byte) (int, error) {
	n, err := c.secure.Read(p)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	if c.secure == nil {
		return c.Conn.Write(p)
	}
	if err := c.secure.SetWriteDeadline(time.Now().Add(2 * c.ep.cfg.WriteTimeout)); err != nil {
		return 0, err
	}
	return c.secure.Write(p)
}

// Write2 writes a and then b.
func (c *Conn) Write2(a, b []byte) error {
	if c.secure == nil {
		return c.Conn.Write2(a, b)
	}
	if _, err := c.Write(a); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// Ask is socket.Conn's: it sends req and reads the beginning of the answer.
func (c *Conn) Ask(req []byte, into *[]byte) (n, sent int, err error) {
	if c.secure == nil {
		return c.Conn.Ask(req, into)
	}
	if _, err = c.Write(req); err != nil {
		return 0, 1, err // a record is sent in whole, or in part
	}
	n, err = c.decrypt(socket.Room(into))
	return n, len(req), err
}

// Quiet is socket.Conn's. What came in one packet with the answer before may have
// been read from the socket already, and waits within the TLS connection.
func (c *Conn) Quiet() bool {
	quiet := c.Conn.Quiet()
	if !quiet || c.secure == nil {
		return quiet
	}
	c.until = 0
	if c.TCP().SetReadDeadline(time.Unix(1, 0)) != nil { // so that the socket is not read
		return false
	}
	var one [1]byte
	_, err := c.secure.Read(one[:])
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// stream is what the bytes of a tunnel go through.
func (c *Conn) stream() net.Conn {
	if c.secure == nil {
		return c.TCP()
	}
	return c.secure
}
