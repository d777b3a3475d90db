package mtls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var end = time.Unix(2_000_000_000, 0)

// client shows a certificate with the subject CN=orders,O=Shop and the names.
func client(t testing.TB, uris ...string) *exchange.Client {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "orders", Organization: []string{"Shop"}}, Issuer: pkix.Name{CommonName: "ca"},
		DNSNames: []string{"Orders.shop.example", "deep.orders.shop.example"}, EmailAddresses: []string{"Ops@shop.example"},
		IPAddresses: []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")}, NotAfter: end,
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return exchange.NewClient([]*x509.Certificate{c})
}

func method(t testing.TB, match ...table.CertificateMatch) *Method {
	t.Helper()
	m, err := New(&table.ClientCertificate{Match: match}, func() time.Time { return end })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func request(c *exchange.Client, vouched bool) *exchange.Exchange {
	return &exchange.Exchange{Conn: &exchange.Conn{Client: c}, Vouched: vouched}
}

func TestOutcomes(t *testing.T) {
	c := client(t, "https://shop.example/", "spiffe://shop.example/orders")
	is := func(m *Method, x *exchange.Exchange, outcome auth.Outcome, code string) {
		t.Helper()
		if r := m.Authenticate(x, &x.Principal); r.Outcome != outcome || r.Code != code || (outcome == auth.Accepted) != (x.Principal.Subject != "") {
			t.Errorf("%+v %+v, want %v %s", r, x.Principal, outcome, code)
		}
	}
	is(method(t), request(nil, false), auth.Absent, "")
	is(method(t), request(c, false), auth.Rejected, auth.CodeCertUnverified)
	is(method(t), request(c, true), auth.Accepted, "")
	is(method(t, table.CertificateMatch{CommonName: "else"}), request(c, true), auth.Rejected, auth.CodeCertMismatch)
	is(method(t, table.CertificateMatch{CommonName: "else"}, table.CertificateMatch{CommonName: "orders"}), request(c, true), auth.Accepted, "")
	late := method(t)
	late.clock = func() time.Time { return end.Add(time.Second) }
	is(late, request(c, true), auth.Rejected, auth.CodeCertExpired)
	if late.Challenge() != "" {
		t.Error("a challenge that HTTP does not have")
	}
}

func TestPrincipal(t *testing.T) {
	c := client(t, "https://shop.example/", "spiffe://shop.example/orders")
	x := request(c, true)
	method(t).Authenticate(x, &x.Principal)
	want := map[string]any{
		"subject": "CN=orders,O=Shop", "commonName": "orders", "issuer": "CN=ca", "sha256": c.SHA256, "notAfter": "2033-05-18T03:33:20Z",
		"sans": map[string]any{
			"dns": []string{"Orders.shop.example", "deep.orders.shop.example"}, "uri": []string{"https://shop.example/", "spiffe://shop.example/orders"},
			"email": []string{"Ops@shop.example"}, "ip": []string{"192.0.2.7", "2001:db8::7"},
		},
	}
	if x.Principal.Subject != "spiffe://shop.example/orders" || !reflect.DeepEqual(x.Principal.Claims, want) {
		t.Errorf("%+v", x.Principal)
	}
	subject := func(want string, c *exchange.Client) {
		t.Helper()
		if got := c.Identity().Subject; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	subject("Orders.shop.example", client(t, "https://shop.example/"))
	subject("a@b", &exchange.Client{Emails: []string{"a@b"}, CommonName: "c"})
	subject("c", &exchange.Client{CommonName: "c", Subject: "CN=c"})
	subject("O=d", &exchange.Client{Subject: "O=d"})
	if sans, ok := (&exchange.Client{}).Identity().Claims["sans"].(map[string]any); !ok || sans["dns"] == nil {
		t.Error("a kind of name that is missing is no empty list")
	}
}

func TestMatch(t *testing.T) {
	c := client(t, "spiffe://shop.example/ns/a/sa/orders")
	is := func(want bool, m table.CertificateMatch) {
		t.Helper()
		if p := method(t, m).match[0]; p.fits(c) != want {
			t.Errorf("%s: %v, want %v", m, !want, want)
		}
	}
	san := func(kind table.SANType, value string) table.CertificateMatch {
		return table.CertificateMatch{SAN: &table.SAN{Type: kind, Value: value}}
	}
	for value, want := range map[string]bool{
		"orders.shop.example": true, "ORDERS.shop.example": true, "shop.example": false,
		"*.shop.example": true, "*.Orders.shop.example": true, "*.example": false, "*.hop.example": false,
	} {
		is(want, san(table.SANDNS, value))
	}
	for value, want := range map[string]bool{
		"spiffe://shop.example/ns/a/sa/orders": true, "spiffe://shop.example/ns/a/sa/Orders": false, "spiffe://shop.example/ns/a": false,
		"spiffe://shop.example/*": true, "spiffe://shop.example/ns/a/*": true, "spiffe://shop.example/ns/b/*": false, "spiffe://shop.exampl/*": false,
		"spiffe://shop.example/ns/a/sa/orders/*": false,
	} {
		is(want, san(table.SANURI, value))
	}
	is(true, san(table.SANEmail, "Ops@SHOP.example"))
	is(false, san(table.SANEmail, "ops@shop.example"))
	is(false, san(table.SANEmail, "Ops@evil.example"))
	is(true, san(table.SANIP, "::ffff:192.0.2.7"))
	is(true, san(table.SANIP, "2001:DB8:0::7"))
	is(false, san(table.SANIP, "192.0.2.8"))
	is(true, table.CertificateMatch{Subject: "CN=orders,O=Shop", CommonName: "orders", SPKI: c.SPKI})
	is(false, table.CertificateMatch{Subject: "CN=orders", CommonName: "orders"})
	is(false, table.CertificateMatch{CommonName: "orders", SPKI: c.SHA256})
	both := san(table.SANDNS, "*.shop.example")
	both.CommonName = "else"
	is(false, both)
	if p := method(t, san(table.SANEmail, "ops")).match[0]; p.fits(&exchange.Client{Emails: []string{"ops"}}) {
		t.Error("an address without a host")
	}
	if p := method(t, san(table.SANDNS, "*.example")).match[0]; p.fits(&exchange.Client{DNSNames: []string{"example", ".example"}}) {
		t.Error("a name without a first label")
	}
	// A path that leads out of its prefix is not beneath it, nor is the prefix.
	for _, uri := range []string{"spiffe://shop.example/ns/a/", "spiffe://shop.example/ns/a/../b", "spiffe://shop.example/ns/a/%2e%2e/b", "spiffe://shop.example/ns/a/./b", "spiffe://shop.example/ns/a/?b"} {
		if p := method(t, san(table.SANURI, "spiffe://shop.example/ns/a/*")).match[0]; p.fits(client(t, uri)) {
			t.Error(uri)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	is := func(m table.CertificateMatch, want string) {
		t.Helper()
		if _, err := New(&table.ClientCertificate{Match: []table.CertificateMatch{m}}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", m, err, want)
		}
	}
	is(table.CertificateMatch{}, "match[0]: it asks for nothing")
	for _, s := range []table.SAN{
		{Type: table.SANDNS, Value: "*"},
		{Type: table.SANDNS, Value: "*."},
		{Type: table.SANDNS, Value: "a*.example"},
		{Type: table.SANDNS},
		{Type: table.SANURI, Value: "spiffe://*"},
		{Type: table.SANURI, Value: "spiffe://shop.example*"},
		{Type: table.SANURI, Value: "spiffe://shop.example/ns/a*"},
		{Type: table.SANURI, Value: "*"},
		{Type: table.SANURI, Value: "spiffe:///*"},
		{Type: table.SANEmail, Value: "*@shop.example"},
		{Type: table.SANIP, Value: "192.0.2.0/24"},
		{Type: "Other", Value: "a"},
	} {
		is(table.CertificateMatch{SAN: &s}, "match[0]")
	}
}

// A wildcard takes nothing outside of the host or the domain it names.
func FuzzWildcards(f *testing.F) {
	for _, seed := range [][2]string{{"shop.example", "a.shop.example"}, {"spiffe://shop.example/", "spiffe://shop.example/a"}, {"spiffe://a/b/", "spiffe://a/b/../c"}, {"", "a"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, stem, name string) {
		c := &exchange.Client{DNSNames: []string{name}, URIs: []string{name}}
		dns, err := parse(&table.CertificateMatch{SAN: &table.SAN{Type: table.SANDNS, Value: "*." + stem}})
		if label, rest, _ := strings.Cut(name, "."); err == nil && dns.fits(c) != (label != "" && strings.EqualFold(rest, stem) && strings.Contains(name, ".")) {
			t.Errorf("*.%q and %q: %v", stem, name, dns.fits(c))
		}
		uri, err := parse(&table.CertificateMatch{SAN: &table.SAN{Type: table.SANURI, Value: stem + "*"}})
		if err == nil && uri.fits(c) && (!strings.HasPrefix(name, stem) || !strings.HasSuffix(stem, "/") || strings.Contains(name[len(stem):], "/../")) {
			t.Errorf("%q* and %q", stem, name)
		}
	})
}

func TestAllocations(t *testing.T) {
	m, x := hard(t)
	m.Authenticate(x, &x.Principal) // makes the identity
	if n := testing.AllocsPerRun(100, func() { m.Authenticate(x, &x.Principal) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// hard is a request whose certificate fits the last of several patterns.
func hard(t testing.TB) (*Method, *exchange.Exchange) {
	m := method(
		t,
		table.CertificateMatch{SAN: &table.SAN{Type: table.SANDNS, Value: "*.else.example"}},
		table.CertificateMatch{SAN: &table.SAN{Type: table.SANEmail, Value: "a@else.example"}},
		table.CertificateMatch{SAN: &table.SAN{Type: table.SANIP, Value: "192.0.2.8"}},
		table.CertificateMatch{SAN: &table.SAN{Type: table.SANURI, Value: "spiffe://shop.example/*"}},
	)
	return m, request(client(t, "spiffe://shop.example/ns/a/sa/orders"), true)
}

func BenchmarkAuthenticate(b *testing.B) {
	m, x := hard(b)
	b.ReportAllocs()
	for b.Loop() {
		if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
			b.Fatal(r.Code)
		}
	}
}
