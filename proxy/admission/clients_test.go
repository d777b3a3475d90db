package admission

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
)

func TestClients(t *testing.T) {
	var c Clients
	f := func(addr string, limit int, want bool) {
		t.Helper()
		if ok, counted := c.Enter(netip.MustParseAddr(addr), limit); ok != want || counted != want {
			t.Errorf("%s: %v, counted %v", addr, ok, counted)
		}
	}
	f("192.0.2.1", 2, true)
	f("::ffff:192.0.2.1", 2, true)
	f("192.0.2.1", 2, false)
	f("192.0.2.1", 3, true) // it was raised
	f("192.0.2.1", 1, false)
	f("192.0.2.2", 1, true)
	f("2001:db8::1", 2, true)
	f("2001:db8::ffff:ffff:ffff:ffff", 2, true)
	f("2001:db8::2", 2, false)
	f("2001:db8:0:1::1", 1, true)
	f("fe80::1%eth0", 1, true)
	f("fe80::2%eth1", 1, false)
	if got := c.Figures(); got.In != 5 || got.Refused != 4 {
		t.Errorf("%+v", got)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::7", "2001:db8::8", "2001:db8:0:1::1", "fe80::3"} {
		c.Leave(netip.MustParseAddr(a))
	}
	if got := c.Figures(); got.In != 0 {
		t.Errorf("%d are still known", got.In)
	}
	f("192.0.2.1", 1, true)
}

// When as many addresses are known as may be, the others come in, and of those
// that are known none has more than before.
func TestClientsAreBounded(t *testing.T) {
	var c Clients
	uncounted := 0
	address := func(i int) netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		return netip.AddrFrom4(b)
	}
	const many = 2 * shards * perShard
	known := make([]bool, many)
	for i := range many {
		ok, counted := c.Enter(address(i), 1)
		if !ok {
			t.Fatalf("%v was refused", address(i))
		}
		if known[i] = counted; !counted {
			uncounted++
		}
	}
	if got := c.Figures().In; got > shards*perShard || got+uncounted != many || got < shards*perShard/2 {
		t.Errorf("%d are known and %d are not", got, uncounted)
	}
	for i, counted := range known {
		if ok, _ := c.Enter(address(i), 1); ok == counted {
			t.Fatalf("%v: known %v, let in %v", address(i), counted, ok)
		}
	}
	for i, counted := range known {
		if counted {
			c.Leave(address(i))
		}
	}
	if got := c.Figures().In; got != 0 {
		t.Errorf("%d are still known", got)
	}
}

func TestClientsAtOnce(t *testing.T) {
	const limit, callers, times = 3, 16, 300
	var c Clients
	var all sync.WaitGroup
	a := netip.MustParseAddr("192.0.2.1")
	for range callers {
		all.Go(func() {
			for range times {
				if ok, counted := c.Enter(a, limit); ok {
					if !counted {
						t.Error("let in and not counted")
					}
					c.Leave(a)
				}
			}
		})
	}
	all.Wait()
	if f := c.Figures(); f.In != 0 {
		t.Errorf("%+v", f)
	}
}

func BenchmarkClients(b *testing.B) {
	var c Clients
	a := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := c.Enter(a, 1000); ok {
			c.Leave(a)
		}
	}
}
