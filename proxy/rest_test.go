package proxy_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// TestQuietConnections: connections that are quiet have no goroutine, and are
// there when something comes.
func TestQuietConnections(t *testing.T) {
	if !poll.Available {
		t.Skip("this system has no loops: every connection keeps its goroutine")
	}
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	tab.Listeners = append(tab.Listeners, &table.Listener{
		ID: "ns/gw/https", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{certificate(t, "a.example.com")},
		Hosts: []*table.Host{host("a.example.com", map[string]*table.Action{"/": to("ns/svc:80")})},
	})
	s := start(t, tab)
	s.backend(sayOK)
	var all []raw
	for range 20 {
		all = append(all, s.dial())
		c, err := net.Dial("tcp", s.Addr("ns/gw/https").String())
		if err != nil {
			t.Fatal(err)
		}
		c = tls.Client(c, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		all = append(all, raw{c, bufio.NewReader(c)})
	}
	ask := func() {
		for i, c := range all {
			if a := c.ask(t, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"); a.StatusCode != 200 || a.body != "ok" {
				t.Fatalf("connection %d: %d %q", i, a.StatusCode, a.body)
			}
		}
	}
	ask()
	busy := runtime.NumGoroutine()
	within(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= busy-len(all)+2 })
	ask()
	within(t, "goroutines gone again", func() bool { return runtime.NumGoroutine() <= busy-len(all)+2 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		if _, err := c.ReadByte(); err == nil || err.Error() != "EOF" {
			t.Errorf("connection %d: %v, want a clean end", i, err)
		}
	}
}
