package upstream

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// issue makes a certificate for names, signed by itself.
func issue(t *testing.T, uri string, names ...string) (pair tls.Certificate, chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bits, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits})
	pair, err = tls.X509KeyPair(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, chain, key
}

// secured asks a TLS server twice, with such settings, and returns the last
// answer's content or the error's code.
func secured(t *testing.T, server net.Addr, settings *table.BackendTLS) (got string) {
	t.Helper()
	s := New(Config{})
	defer s.Close()
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(server.String())}})
	s.Secure("b", settings)
	c := NewCall()
	for range 2 {
		if got = told(t, c, s.Backend("b", ""), time.Now()); strings.HasPrefix(got, "backend_") {
			break
		}
	}
	return got
}

// told makes one request at now, and returns the answer's content or the error's code.
func told(t *testing.T, c *Call, b *Backend, now time.Time) (got string) {
	t.Helper()
	defer c.Release()
	c.Begin(now, time.Time{})
	x := &exchange.Exchange{Request: exchange.Request{Method: "GET", Authority: "a.example", Path: "/"}}
	c.Stage(x, "")
	if err := c.Connect(b.Pick(nil, now), false, false); err != nil {
		return err.Code
	}
	if _, err := c.Ask(nil); err != nil {
		return err.Error()
	}
	if err := c.ReadHead("GET", "", nil); err != nil {
		var e *exchange.Error
		if errors.As(err, &e) {
			return e.Code
		}
		return err.Error()
	}
	for {
		p, err := c.Next()
		if err == io.EOF {
			return got
		}
		if err == nil && len(p) == 0 {
			err = c.Fill()
		}
		if err != nil {
			t.Fatal(err)
		}
		got += string(p)
	}
}

// atOnce is a connection that sends what is written after hold together, when it is closed.
type atOnce struct {
	net.Conn
	hold bool
	held []byte
}

func (a *atOnce) Write(p []byte) (int, error) {
	if !a.hold {
		return a.Conn.Write(p)
	}
	a.held = append(a.held, p...)
	return len(p), nil
}

func (a *atOnce) Close() error {
	late := a.SetWriteDeadline(time.Time{}) // crypto/tls has let it pass
	_, err := a.Conn.Write(a.held)
	return errors.Join(late, err, a.Conn.Close())
}

// A backend that closes behind its answer may have said so by the time that is read.
func TestTLSClosed(t *testing.T) {
	pair, ca, _ := issue(t, "", "a.example")
	ask := func(before, last string, version uint16) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		go func() {
			for {
				nc, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					a := &atOnce{Conn: nc}
					c := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version})
					_, _ = http.ReadRequest(bufio.NewReader(c))
					if before != "" {
						_, _ = io.WriteString(c, before)
						time.Sleep(10 * time.Millisecond) // so that it is read by itself; either is right
					}
					a.hold = true
					_, _ = io.WriteString(c, last)
					_ = c.Close()
				}()
			}
		}()
		return secured(t, listener.Addr(), &table.BackendTLS{ServerName: "a.example", CAs: ca})
	}
	const head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, answer := range [][2]string{
			{"", head + "Content-Length: 5\r\n\r\nhello"},
			{head + "Content-Length: 5\r\n\r\nhe", "llo"},
			{head + "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
			{"", head + "\r\nhello"},
			{head + "\r\nhe", "llo"},
		} {
			if got := ask(answer[0], answer[1], version); got != "hello" {
				t.Errorf("%s, %q: %q", tls.VersionName(version), answer, got)
			}
		}
	}
}

func TestTLS(t *testing.T) {
	pair, ca, _ := issue(t, "spiffe://a/b", "a.example", "*.w.example")
	_, other, _ := issue(t, "", "a.example")
	_, mine, key := issue(t, "", "client")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text := r.TLS.ServerName
		if len(r.TLS.PeerCertificates) > 0 {
			text += " " + r.TLS.PeerCertificates[0].DNSNames[0]
		}
		_, _ = io.WriteString(rw, text)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	is := func(want string, settings table.BackendTLS) {
		t.Helper()
		if got := secured(t, server.Listener.Addr(), &settings); got != want {
			t.Errorf("%+v: %s, want %s", settings, got, want)
		}
	}
	const failed = "backend_tls_failed"
	host := func(name string) []table.SubjectAlt { return []table.SubjectAlt{{Hostname: name}} }
	is("a.example", table.BackendTLS{ServerName: "a.example", CAs: ca})
	is("a.example client", table.BackendTLS{ServerName: "a.example", CAs: ca, Client: &table.Certificate{Chain: mine, Key: key}})
	is(failed, table.BackendTLS{ServerName: "b.example", CAs: ca})
	is(failed, table.BackendTLS{ServerName: "a.example", CAs: other})
	is(failed, table.BackendTLS{ServerName: "a.example"})
	is(failed, table.BackendTLS{ServerName: "a.example", CAs: []byte("nothing")})
	is(failed, table.BackendTLS{ServerName: "a.example", CAs: ca, Client: &table.Certificate{}})
	is("b.example", table.BackendTLS{ServerName: "b.example", CAs: ca, SANs: host("a.example")})
	is("b.example", table.BackendTLS{ServerName: "b.example", CAs: ca, SANs: host("x.w.example")})
	is("b.example", table.BackendTLS{ServerName: "b.example", CAs: ca, SANs: host("*.w.example")})
	is("b.example", table.BackendTLS{ServerName: "b.example", CAs: ca, SANs: []table.SubjectAlt{{Hostname: "no"}, {URI: "spiffe://a/b"}}})
	is(failed, table.BackendTLS{ServerName: "a.example", CAs: ca, SANs: host("b.example")})
	is(failed, table.BackendTLS{ServerName: "a.example", CAs: ca, SANs: []table.SubjectAlt{{URI: "spiffe://a/c"}}})
	is(failed, table.BackendTLS{ServerName: "b.example", CAs: other, SANs: host("a.example")})
}

func TestTLSOfABackendThatSpeaksNone(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if got := secured(t, server.Listener.Addr(), &table.BackendTLS{ServerName: "a.example"}); got != "backend_tls_failed" {
		t.Error(got)
	}
}

// together is a connection that sends nothing before it is flushed, and then all at once.
type together struct {
	net.Conn
	held []byte
}

func (c *together) Write(p []byte) (int, error) {
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *together) Read(p []byte) (int, error) {
	if len(c.held) > 0 {
		if _, err := c.Conn.Write(c.held); err != nil {
			return 0, err
		}
		c.held = c.held[:0]
	}
	return c.Conn.Read(p)
}

// TestTLSUnasked has a backend that sends an answer to nothing in a record behind
// that of each answer, and both in one packet.
func TestTLSUnasked(t *testing.T) {
	pair, ca, _ := issue(t, "", "a.example")
	at := listen(t, func(c net.Conn) {
		s := tls.Server(&together{Conn: c}, &tls.Config{Certificates: []tls.Certificate{pair}})
		for in := bufio.NewReader(s); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		}
	})
	if got := secured(t, at, &table.BackendTLS{ServerName: "a.example", CAs: ca}); got != "hi" {
		t.Errorf("the second request is told %q", got)
	}
}

// TestTwoAnswers has a backend that sends an answer to nothing together with that to
// the second request, on a connection at which nobody has looked in between: it
// cannot be told which is whose.
func TestTwoAnswers(t *testing.T) {
	for _, nobodys := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for before := ""; ; before = nobodys {
				if _, err := http.ReadRequest(in); err != nil {
					break
				}
				_, _ = io.WriteString(c, before+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			}
			_ = c.Close()
		})
		s := New(Config{})
		s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(l.Addr().String())}})
		c, b, now := NewCall(), s.Backend("b", ""), time.Now()
		if got := told(t, c, b, now); got != "hi" {
			t.Errorf("the first request is told %q", got)
		}
		if got := told(t, c, b, now); got != "backend_bad_response" {
			t.Errorf("the second request is told %q", got)
		}
		s.Close()
		_ = l.Close()
		running.Wait()
	}
}
