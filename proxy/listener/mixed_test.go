package listener

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// tells answers every stream with its route and whether TLS has ended, and hangs up.
type tells struct{}

func (tells) TCP(c net.Conn, ahead []byte, to *stream.Route) {
	_, untold := c.(*tls.Conn) // its reads do not say when content comes
	_, ended := c.(interface{ NetConn() net.Conn })
	switch {
	case untold:
		_, _ = io.WriteString(c, "untold "+to.Table.Route+"\n")
	case ended:
		_, _ = io.WriteString(c, "ended "+to.Table.Route+"\n")
	case len(ahead) > 0:
		_, _ = io.WriteString(c, "passed "+to.Table.Route+"\n")
	default:
		_, _ = io.WriteString(c, "raw "+to.Table.Route+"\n")
	}
}

func (tells) UDP(c *net.UDPConn, to func() *stream.Route) {
	b := make([]byte, 100)
	for {
		_, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		name := "nothing"
		if r := to(); r != nil {
			name = r.Table.Route
		}
		_, _ = c.WriteToUDPAddrPort([]byte(name), from)
	}
}

func (f *fixture) streams() {
	set := upstream.New(upstream.Config{})
	f.set.cfg.Streams = tells{}
	f.set.cfg.Route = func(t *table.Stream) *stream.Route { return stream.New(t, set, f.metrics) }
}

// TestMixedPort: on one port the server name says whether TLS passes, ends and is relayed, or is HTTPS.
func TestMixedPort(t *testing.T) {
	f := newFixture(t, 100)
	f.streams()
	cert := pair(t, "c", "end.example", "www.example")
	on := func(host string, terminate bool, hosts ...string) *table.Listener {
		l := &table.Listener{ID: host, Port: 443, Protocol: table.TLS, Hostname: host, Certificates: []*table.Certificate{cert}}
		l.Streams = []*table.Stream{{Route: host, Hosts: hosts, Terminate: terminate}}
		return l
	}
	https := &table.Listener{ID: "https", Port: 443, Protocol: table.HTTPS, Hostname: "www.example", Certificates: []*table.Certificate{cert}}
	if failed := f.update(https, on("*.pass.example", false, "a.pass.example", "*.b.pass.example"), on("end.example", true, "end.example")); len(failed) > 0 {
		t.Fatal(failed)
	}
	first := func(name string) string { // what comes back in the clear on a ClientHello for name
		c := f.dial(t, https)
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		got := make(chan string, 1)
		go func() {
			b := make([]byte, 100)
			n, err := c.Read(b)
			if err != nil {
				n = copy(b, "closed")
			}
			got <- string(b[:n])
		}()
		client := tls.Client(writeOnly{c}, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // the server is ours
		_ = client.Handshake()
		return <-got
	}
	for name, want := range map[string]string{
		"a.pass.example": "passed *.pass.example\n", "x.b.pass.example": "passed *.pass.example\n",
		"c.pass.example": "closed", "other.example": "closed", "": "closed",
	} {
		if got := first(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	ended := tls.Client(f.dial(t, https), &tls.Config{ServerName: "end.example", InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // the server is ours
	if got, err := io.ReadAll(ended); string(got) != "ended end.example\n" || err != nil {
		t.Errorf("TLS that ends: %q %v", got, err)
	}
	if got := say(t, tls.Client(f.dial(t, https), &tls.Config{ServerName: "www.example", InsecureSkipVerify: true}), "x"); got != "HTTP/1.1 www.example x" { //nolint:gosec // the server is ours
		t.Errorf("HTTPS: %q", got)
	}
}

// writeOnly sends and never receives.
type writeOnly struct{ net.Conn }

func (writeOnly) Read([]byte) (int, error) { return 0, io.EOF }

// TestStreamPorts: TCP and UDP have a port of one number each; without a route connections are refused.
func TestStreamPorts(t *testing.T) {
	f := newFixture(t, 100)
	f.streams()
	tcp := &table.Listener{ID: "tcp", Port: 53, Protocol: table.TCP, Streams: []*table.Stream{{Route: "t"}}}
	udp := &table.Listener{ID: "udp", Port: 53, Protocol: table.UDP, Streams: []*table.Stream{{Route: "u"}}}
	idle := &table.Listener{ID: "idle", Port: 54, Protocol: table.TCP}
	if failed := f.update(tcp, udp, idle); len(failed) > 0 {
		t.Fatal(failed)
	}
	if got, err := io.ReadAll(f.dial(t, tcp)); string(got) != "raw t\n" || err != nil {
		t.Errorf("TCP: %q %v", got, err)
	}
	c, err := net.Dial("tcp", f.set.Addr(idle).String())
	if err == nil {
		_, err = io.ReadAll(c)
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("no route: %v", err)
	}
	datagram := func() string {
		c, err := net.Dial("udp", f.set.Addr(udp).String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = c.Write([]byte("x"))
		b := make([]byte, 100)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	if got := datagram(); got != "u" {
		t.Errorf("UDP: %q", got)
	}
	f.update(tcp, &table.Listener{ID: "udp", Port: 53, Protocol: table.UDP})
	if got := datagram(); got != "nothing" {
		t.Errorf("UDP without a route: %q", got)
	}
	f.update(tcp)
	if f.set.Addr(udp) != nil {
		t.Error("the socket of UDP stays")
	}
	twice := f.update(tcp, &table.Listener{ID: "again", Port: 53, Protocol: table.TCP})
	if twice["again"] == nil {
		t.Error("two listeners of TCP share a port")
	}
}
