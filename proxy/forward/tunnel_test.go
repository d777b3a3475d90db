package forward_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
)

const upgrade = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"

// chat is a backend that switches to a protocol of echoes.
func chat(t testing.TB) string {
	return raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		q, err := http.ReadRequest(r)
		if err != nil || q.Header.Get("Upgrade") != "chat" || q.Header.Get("Connection") != "Upgrade" {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello ")
		io.Copy(c, r)
		io.WriteString(c, " bye")
	})
}

// TestTunnel sends through a tunnel, ends the sending side and reads the rest.
func TestTunnel(t *testing.T) {
	s := start(t, options{}, chat(t))
	c := s.dial()
	c.send(upgrade + "ahead,")
	r, err := http.ReadResponse(c.r, nil)
	if err != nil || r.StatusCode != 101 || r.Header.Get("Upgrade") != "chat" {
		t.Fatalf("got %v, %v", r, err)
	}
	long := strings.Repeat("0123456789", 50<<10)
	go func() {
		io.WriteString(c, long)
		c.Conn.(*net.TCPConn).CloseWrite()
	}()
	if b, err := io.ReadAll(c.r); err != nil || string(b) != "hello ahead,"+long+" bye" {
		t.Fatalf("got %d bytes, %v; want %d", len(b), err, len("hello ahead,"+long+" bye"))
	}
}

func TestTunnelRefused(t *testing.T) {
	c := start(t, options{}, echo(t)).dial()
	for range 2 {
		c.send(upgrade)
		c.want(200, "GET /chat ")
	}
}

// TestTunnelOfAnotherProtocol has a backend that switches to what nobody offered.
func TestTunnelOfAnotherProtocol(t *testing.T) {
	c := start(t, options{}, raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chats\r\n\r\nhello")
			io.Copy(io.Discard, r)
		}
	})).dial()
	c.send(upgrade)
	c.code(502, "backend_bad_response")
}

func TestTunnelIdle(t *testing.T) {
	c := start(t, options{forward: forward.Config{TunnelIdle: 250 * time.Millisecond}}, chat(t)).dial()
	c.send(upgrade)
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 10 { // as long as something moves it stays
		c.send("x")
		time.Sleep(40 * time.Millisecond)
	}
	io.ReadAll(c.r)
	if took := time.Since(began); took < 600*time.Millisecond || took > 5*time.Second {
		t.Errorf("closed after %v", took)
	}
}

// TestTLS forwards for a TLS client.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s := start(t, options{tls: config}, echo(t))
	c := s.dial()
	c.Conn = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
	c.r = bufio.NewReader(c.Conn)
	long := strings.Repeat("x", 100<<10)
	for range 3 {
		c.send(get)
		if a := c.want(200, "GET / "); a.Header.Get("X-Proto") != "https" {
			t.Errorf("the backend saw %v", a.Header)
		}
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 102400\r\n\r\n" + long)
		c.want(200, "POST / "+long)
	}
}

// TestSlowClient checks that a client which does not read holds up its backend
// instead of filling memory.
func TestSlowClient(t *testing.T) {
	sent := make(chan int64, 1)
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n := int64(0)
		for b := make([]byte, 64<<10); ; {
			k, err := c.Write(b)
			if n += int64(k); err != nil {
				break
			}
		}
		sent <- n
	})
	c := start(t, options{}, backend).dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.send(get)
	if n := <-sent; n > 64<<20 {
		t.Errorf("the backend could send %d bytes to a client that reads nothing", n)
	}
}

// TestClientGone checks that a client's reset ends the exchange.
func TestClientGone(t *testing.T) {
	ended := make(chan struct{})
	backend := raw(t, func(c *net.TCPConn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c, "5\r\nhello\r\n"); err != nil {
				close(ended)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	c := start(t, options{}, backend).dial()
	c.send(get)
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		t.Fatal(err)
	}
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the backend was not told")
	}
}

// TestTrace checks what the access log is told.
func TestTrace(t *testing.T) {
	addr := echo(t)
	s := start(t, options{traced: true}, addr)
	c := s.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	c.want(200, "POST / hello")
	got := <-s.traces
	want := exchange.Trace{Backend: "b", Endpoint: got.Endpoint, BytesIn: 5, BytesOut: int64(len("POST / hello"))}
	if !reflect.DeepEqual(got, want) || got.Endpoint.String() != addr {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
