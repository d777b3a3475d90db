package cidrs

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func prefixes(text string) (out []netip.Prefix) {
	for _, f := range strings.Fields(text) {
		out = append(out, netip.MustParsePrefix(f))
	}
	return out
}

func TestAuthorize(t *testing.T) {
	is := func(allow, deny, ip string, want bool) {
		t.Helper()
		r, err := New(&table.CIDRs{Allow: prefixes(allow), Deny: prefixes(deny)})
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		if ip != "" {
			x.Request.ClientIP = netip.MustParseAddr(ip)
		}
		got := r.Authorize(x)
		if (got.Outcome == auth.Accepted) != want || want != (got.Code == "") {
			t.Errorf("allow %q deny %q: %s is %+v", allow, deny, ip, got)
		}
	}
	is("192.0.2.0/24", "", "192.0.2.255", true)
	is("192.0.2.0/24", "", "192.0.3.0", false)
	is("192.0.2.77/24", "", "192.0.2.1", true)
	is("192.0.2.0/24 2001:db8::/32", "", "2001:db8:1::1", true)
	is("192.0.2.0/24", "192.0.2.1/32", "192.0.2.1", false)
	is("192.0.2.0/24", "192.0.2.1/32", "192.0.2.2", true)
	is("", "192.0.2.1/32", "192.0.2.1", false)
	is("", "192.0.2.1/32", "192.0.2.2", true)
	is("192.0.2.0/24", "", "::ffff:192.0.2.1", true)
	is("", "192.0.2.0/24", "::ffff:192.0.2.1", false)
	is("::ffff:192.0.2.0/120", "", "192.0.2.1", true)
	is("fe80::/10", "", "fe80::1%eth0", true)
	is("", "fe80::/10", "fe80::1%eth0", false)
	is("0.0.0.0/0", "", "2001:db8::1", false)
	is("::/0", "", "192.0.2.1", false)
	is("", "", "192.0.2.1", true)
	is("", "192.0.2.1/32", "", false)
	is("::/0", "::ffff:0.0.0.0/90", "192.0.2.1", false)
	for _, c := range []table.CIDRs{{Allow: make([]netip.Prefix, 1)}, {Deny: make([]netip.Prefix, 1)}} {
		if _, err := New(&c); err == nil {
			t.Errorf("%+v: no network was taken for one", c)
		}
	}
}
