package http1_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/record"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// handler answers what it was asked: method, host, path, query and content; a
// path can ask for other things.
type handler struct {
	broken *atomic.Int32 // answers that their clients did not take
	held   chan struct{} // what /held waits for
}

func (h handler) Handle(x *exchange.Exchange) {
	var content strings.Builder
	r, pieces := &x.Request, 0
	for r.Body != nil && r.Path != "/ignore" {
		p, err := r.Body.Next()
		content.Write(p)
		pieces++
		if err == io.EOF {
			break
		}
		if err != nil {
			x.Fail(err)
			x.WriteReply()
			return
		}
	}
	text := r.Method + " " + r.Scheme + "://" + r.Host + r.Path + "?" + r.RawQuery + " " + content.String()
	x.Response.Status, x.Response.ContentLength = 200, int64(len(text))
	switch r.Path {
	case "/cut":
		x.Response.ContentLength = -1
	case "/stream":
		x.Response.ContentLength = -1
		x.Response.Trailer.Add("X-Sum", "42")
	case "/204":
		x.Response.Status = 204
	case "/short":
		x.Response.ContentLength++
	case "/pieces":
		sum, _ := r.Trailer.Get("x-sum")
		text += fmt.Sprintf(" in %d, %s", pieces, sum)
		x.Response.ContentLength = int64(len(text))
	case "/silent":
		return
	case "/slow":
		time.Sleep(50 * time.Millisecond)
	case "/held":
		<-h.held
	case "/big":
		text = strings.Repeat("x", 8<<20)
		x.Response.ContentLength = 8 << 20
	case "/tunnel":
		tunnel(x)
		return
	}
	if x.Writer.Head(x) != nil {
		return
	}
	if r.Path == "/stream" {
		x.Writer.Write([]byte(text[:3]))
		x.Writer.Flush()
		text = text[3:]
	}
	if _, err := x.Writer.Write([]byte(text)); err != nil {
		h.broken.Add(1)
	}
	if r.Path == "/cut" {
		x.Writer.Flush()
		return
	}
	x.Writer.End(x)
}

// tunnel echoes.
func tunnel(x *exchange.Exchange) {
	if x.Request.Upgrade == "" {
		x.Reply(426, "upgrade_required", "")
		x.WriteReply()
		return
	}
	x.Response.Status = 101
	x.Writer.Head(x)
	c, err := x.Writer.(exchange.Tunneler).Tunnel()
	if err != nil {
		return
	}
	if t, ok := c.(*socket.Ahead).Conn.(*tls.Conn); ok {
		if _, ok := t.NetConn().(*record.Below); ok {
			c.Close() // reads of it do not say when content comes
		}
	}
	io.Copy(c, c)
	c.Close()
}

type stack struct {
	t      testing.TB
	addr   string
	server *http1.Server
	secure bool
	quiet  *atomic.Int32 // connections handed back
	broken *atomic.Int32 // answers that were not taken
	held   chan struct{} // what /held waits for
}

// over is what connections are made of.
type over string

const (
	clear    over = "clear"
	driven   over = "TLS"
	undriven over = "TLS that cannot be driven"
)

func start(t testing.TB, cfg http1.Config, kind over) *stack {
	t.Helper()
	var config *tls.Config
	secure := kind != clear
	if secure {
		config = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := socket.Listen(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	quiet, broken, held := &atomic.Int32{}, &atomic.Int32{}, make(chan struct{})
	s := http1.New(cfg, handler{broken, held})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			accepted := &socket.Accepted{}
			if l.Accept(accepted) != nil {
				return
			}
			info := &exchange.Conn{Local: accepted.Local(), Peer: accepted.Peer(), TLS: secure}
			var c net.Conn = accepted
			if secure {
				tcp, err := accepted.TCP()
				if err != nil {
					t.Error(err)
					return
				}
				if c = tcp; kind == driven {
					c = record.NewBelow(tcp, nil)
				}
				c = tls.Server(c, config)
			}
			running.Go(func() {
				if c, ok := c.(*tls.Conn); ok && c.Handshake() != nil {
					c.Close()
					return
				}
				for !s.Serve(c, info).IsZero() {
					quiet.Add(1)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); s.Close(); running.Wait() })
	return &stack{t, l.Addr().String(), s, secure, quiet, broken, held}
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *stack) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{s.t, c, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() (*http.Response, string, error) {
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// want reads an answer and checks its status and content.
func (c *client) want(status int, body string) *http.Response {
	c.t.Helper()
	r, b, err := c.read()
	if err != nil || r.StatusCode != status || b != body && body != "*" {
		c.t.Fatalf("got %v %q, %v; want %d %q", r, b, err, status, body)
	}
	return r
}

// code reads an answer and checks its status and the problem's code.
func (c *client) code(status int, code string) {
	c.t.Helper()
	r, b, err := c.read()
	if err != nil || r.StatusCode != status || !strings.Contains(b, `"code":"`+code+`"`) {
		c.t.Fatalf("got %v %q, %v; want %d %s", r, b, err, status, code)
	}
}

// closed checks that the connection ends with nothing more.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("got %q, %v; want a clean end", b, err)
	}
}

// both runs f on connections in the clear and with TLS.
func both(t *testing.T, cfg http1.Config, f func(t *testing.T, s *stack)) {
	for _, kind := range []over{clear, driven, undriven} {
		t.Run(string(kind), func(t *testing.T) { f(t, start(t, cfg, kind)) })
	}
}

func (s *stack) scheme() string {
	if s.secure {
		return "https"
	}
	return "http"
}
