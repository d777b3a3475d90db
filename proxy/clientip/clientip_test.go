package clientip

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func TestClient(t *testing.T) {
	trusted, err := Parse([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8", "fe80::/10"})
	if err != nil {
		t.Fatal(err)
	}
	client := func(t *testing.T, trust *Trusted, peer, want string, forwarded ...string) {
		t.Helper()
		h := exchange.Header{{Name: "Accept", Value: "9.9.9.9"}, {Name: "X-Forwarded-Not", Value: "9.9.9.9"}}
		for _, f := range forwarded {
			h.Add("X-Forwarded-For", f)
		}
		h.Add("Accept-Encoding", "9.9.9.9")
		if got := trust.Client(netip.MustParseAddr(peer), h); got.String() != want {
			t.Errorf("peer %s, forwarded %q: got %s, want %s", peer, forwarded, got, want)
		}
	}
	client(t, nil, "10.1.1.1", "10.1.1.1", "1.2.3.4")
	client(t, trusted, "1.1.1.1", "1.1.1.1", "1.2.3.4")
	client(t, trusted, "::ffff:1.1.1.1", "1.1.1.1")
	client(t, trusted, "10.1.1.1", "10.1.1.1")
	client(t, trusted, "10.1.1.1", "1.2.3.4", "1.2.3.4")
	client(t, trusted, "::ffff:10.1.1.1", "1.2.3.4", "1.2.3.4")
	client(t, trusted, "10.1.1.1", "1.2.3.4", "6.6.6.6, 1.2.3.4 , 192.0.2.1")
	client(t, trusted, "fe80::7%2", "1.2.3.4", "1.2.3.4")
	client(t, trusted, "10.1.1.1", "1.2.3.4", "6.6.6.6, 1.2.3.4", "10.2.2.2,fd00::7")
	client(t, trusted, "10.1.1.1", "10.2.2.2", "10.2.2.2, 10.3.3.3")
	client(t, trusted, "10.1.1.1", "10.3.3.3", "1.2.3.4, nonsense, 10.3.3.3")
	client(t, trusted, "10.1.1.1", "10.1.1.1", "1.2.3.4, ")
	client(t, trusted, "10.1.1.1", "1.2.3.4", "1.2.3.4:4711")
	client(t, trusted, "10.1.1.1", "2001:db8::1", "[2001:db8::1]:4711")
	client(t, trusted, "10.1.1.1", "2001:db8::1", "[2001:db8::1]")
	client(t, trusted, "10.1.1.1", "10.1.1.1", "fe80::1%eth0")
	client(t, trusted, "10.1.1.1", "10.1.1.1", "[1.2.3]")
	client(t, trusted, "10.1.1.1", "10.1.1.1", "11.2.3.4]")
	client(t, trusted, "10.1.1.1", "10.1.1.1", "[1.2.3.4:")
	proxies := strings.Repeat(", 10.2.2.2", maxHops-1)
	client(t, trusted, "10.1.1.1", "1.2.3.4", "1.2.3.4"+proxies)
	client(t, trusted, "10.1.1.1", "10.2.2.2", "1.2.3.4, 10.2.2.2"+proxies)
	client(t, &Trusted{}, "10.1.1.1", "10.1.1.1", "1.2.3.4")
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "x", "10.0.0.0/33", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		if _, err := Parse([]string{s}); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestClientAllocs(t *testing.T) {
	trusted, err := Parse([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddr("10.0.0.1")
	for _, v := range []string{"1.2.3.4, 10.1.1.1", "no address, 10.1.1.1"} {
		h := exchange.Header{{Name: "X-Forwarded-For", Value: v}}
		if n := testing.AllocsPerRun(100, func() { trusted.Client(peer, h) }); n != 0 {
			t.Errorf("%q: %v allocations", v, n)
		}
	}
}

// FuzzClient checks that whatever is sent, the caller is the peer or an address
// that was written, and that an untrusted peer is believed nothing.
func FuzzClient(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.1", "[::1]:80,,", "::ffff:10.0.0.1", "a:b", "[", "1.2.3.4:99999"} {
		f.Add(s)
	}
	trusted, err := Parse([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	proxy, stranger := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, value string) {
		h := exchange.Header{{Name: "x-forwarded-for", Value: value}}
		if got := trusted.Client(stranger, h); got != stranger {
			t.Errorf("a stranger passed for %v", got)
		}
		if got := trusted.Client(proxy, h); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("got %v", got)
		}
	})
}
