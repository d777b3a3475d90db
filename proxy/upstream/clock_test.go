package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// setBack does to the times that c has what a clock that is set back by d does.
func (c *Conn) setBack(d time.Duration) {
	c.until += int64(d)
	c.idle += int64(d)
}

// A clock that is set back by some seconds has no request fail over a connection whose deadline
// has passed, and seems not to have, and none that waits look for its client without a rest.
func TestClockSetBackABit(t *testing.T) {
	t.Parallel()
	const look = 200 * time.Millisecond
	s := New(Config{Look: look, ReadTimeout: 5 * time.Second})
	defer s.Close()
	at := listen(t, func(nc net.Conn) {
		defer nc.Close()
		in := bufio.NewReader(nc)
		for {
			q, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if q.URL.Path == "/slow" {
				time.Sleep(4 * look)
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
		}
	})
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(at.String())}})
	c := NewCall()
	defer c.Release()
	ask := func(path string, gone func() bool) *Conn {
		t.Helper()
		c.Begin(time.Now(), time.Time{})
		c.Stage(&exchange.Exchange{Request: exchange.Request{Method: "GET", Authority: "a.example", Path: path}}, "")
		if err := c.Connect(s.Backend("b", "").Pick(nil, time.Now()), false, false); err != nil {
			t.Fatal(err)
		}
		k := c.conn
		if _, err := c.Ask(gone); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadHead("GET", "", gone); err != nil {
			t.Fatal(err)
		}
		read(t, c)
		c.Release()
		return k
	}
	k := ask("/", nil)
	time.Sleep(2*look + look/2)
	k.setBack(2*look + look/2)
	if ask("/", nil) != k {
		t.Error("another connection was used")
	}
	looks := 0
	ask("/slow", func() bool {
		if looks++; looks == 1 {
			c.conn.setBack(2*look - look/10)
		}
		return false
	})
	if looks > 8 {
		t.Errorf("it was looked for the client %d times", looks)
	}
}
