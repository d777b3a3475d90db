package listener

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// TestLargeHellos: clients that say much in their handshakes share the room there is for
// that, until their connections end, and the others need none of it.
func TestLargeHellos(t *testing.T) {
	f := newFixture(t, 10)
	f.set.cfg.Limits.Handshake = 20 * time.Second
	room := admission.NewRoom(200 << 10) // for one
	f.set.cfg.Hellos = room
	l := &table.Listener{ID: "a", Port: 443, Protocol: table.HTTPS, Certificates: []*table.Certificate{pair(t, "a", "a")}}
	f.update(l)
	greet := func(protocols int) (*tls.Conn, error) {
		offer := append(slices.Repeat([]string{strings.Repeat("x", 250)}, protocols), "http/1.1")
		c := tls.Client(f.dial(t, l), &tls.Config{InsecureSkipVerify: true, ServerName: "a", NextProtos: offer})
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c, c.Handshake()
	}
	given := func() {
		t.Helper()
		for range 1000 {
			if room.Figures().In == 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%d bytes are still taken", room.Figures().In)
	}
	first, err := greet(100) // 25 KB
	if err != nil {
		t.Fatal(err)
	}
	if _, err := greet(100); err == nil || room.Figures().Refused != 1 {
		t.Errorf("a second one: %v", err)
	}
	if _, err := greet(10); err != nil {
		t.Errorf("a small one: %v", err)
	}
	if room.Figures().In == 0 {
		t.Error("nothing is taken while it is open")
	}
	_ = first.Close()
	given()
	if c, err := greet(100); err != nil {
		t.Errorf("a third one: %v", err)
	} else {
		_ = c.Close()
	}
	given()
}
