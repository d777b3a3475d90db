package proxy_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// attended is how many connections have a goroutine.
func attended() int {
	all := make([]byte, 4<<20)
	return strings.Count(string(all[:runtime.Stack(all, true)]), "proxy/http1.(*conn).run(")
}

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
	var busy atomic.Int32 // of what counts below, most at one time
	s.backend(func(w http.ResponseWriter, r *http.Request) {
		busy.Store(max(busy.Load(), int32(attended())))
		sayOK(w, r)
	})
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
	if busy.Load() == 0 {
		t.Error("what a request is served by is not known by its name")
	}
	within(t, "goroutines gone", func() bool { return attended() == 0 })
	ask()
	within(t, "goroutines gone again", func() bool { return attended() == 0 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		if _, err := c.ReadByte(); err == nil || err.Error() != "EOF" {
			t.Errorf("connection %d: %v, want a clean end", i, err)
		}
	}
}
