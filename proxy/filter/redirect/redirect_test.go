package redirect

import (
	"net/netip"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// at is a request for http://shop.example/a/b?q that came in on the port given.
func at(port uint16) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{Local: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)}}
	x.Request = exchange.Request{Method: "GET", Scheme: "http", Authority: "shop.example:1", Host: "shop.example", Path: "/a/b", RawQuery: "q"}
	return x
}

func TestLocation(t *testing.T) {
	location := func(r table.Redirect, x *exchange.Exchange, want string) {
		t.Helper()
		f, err := New(&r)
		if err != nil {
			t.Fatal(err)
		}
		if f.FilterRequest(x) {
			t.Error("the request goes on")
		}
		if got, _ := x.Response.Header.Get("location"); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
		if len(x.Response.Header) != 1 || x.Response.ContentLength != 0 || x.Response.Status != max(r.Status, f.status) {
			t.Errorf("%+v: answer is %+v", r, x.Response)
		}
	}
	secure := func(port uint16) *exchange.Exchange {
		x := at(port)
		x.Request.Scheme = "https"
		return x
	}
	forHost := func(host string) *exchange.Exchange {
		x := at(80)
		x.Request.Host = host
		return x
	}
	full, prefix := "/new", "/c/"

	// The port: as written; else the written scheme's own; else the listener's. Left out where a URL needs none.
	location(table.Redirect{Status: 301}, at(80), "http://shop.example/a/b?q")
	location(table.Redirect{Status: 302}, at(8080), "http://shop.example:8080/a/b?q")
	location(table.Redirect{Status: 303}, secure(443), "https://shop.example/a/b?q")
	location(table.Redirect{Status: 307}, secure(8443), "https://shop.example:8443/a/b?q")
	location(table.Redirect{Status: 308}, at(443), "http://shop.example:443/a/b?q")
	location(table.Redirect{Scheme: "https"}, at(80), "https://shop.example/a/b?q")
	location(table.Redirect{Scheme: "HTTPS"}, at(8080), "https://shop.example/a/b?q")
	location(table.Redirect{Scheme: "http"}, secure(8443), "http://shop.example/a/b?q")
	location(table.Redirect{Scheme: "https", Port: 8443}, at(80), "https://shop.example:8443/a/b?q")
	location(table.Redirect{Scheme: "https", Port: 443}, at(80), "https://shop.example/a/b?q")
	location(table.Redirect{Scheme: "https", Port: 80}, at(80), "https://shop.example:80/a/b?q")
	location(table.Redirect{Port: 80}, at(8080), "http://shop.example/a/b?q")
	location(table.Redirect{Port: 8081}, at(80), "http://shop.example:8081/a/b?q")
	location(table.Redirect{Port: 443}, secure(8443), "https://shop.example/a/b?q")

	location(table.Redirect{Hostname: "other.example"}, at(80), "http://other.example/a/b?q")
	location(table.Redirect{}, forHost("[2001:db8::1]"), "http://[2001:db8::1]/a/b?q")
	location(table.Redirect{}, forHost("2001:db8::1"), "http://[2001:db8::1]/a/b?q")
	location(table.Redirect{}, forHost(""), "http://192.0.2.1/a/b?q")

	location(table.Redirect{Path: &table.PathEdit{Full: &full}}, at(80), "http://shop.example/new?q")
	location(table.Redirect{Path: &table.PathEdit{Prefix: &prefix, Matched: "/a"}}, at(80), "http://shop.example/c/b?q")

	plain := at(80)
	plain.Request.RawQuery = ""
	location(table.Redirect{}, plain, "http://shop.example/a/b")
	plain.Request.EmptyQuery = true
	location(table.Redirect{}, plain, "http://shop.example/a/b?")
	asterisk := at(80)
	asterisk.Request.Path, asterisk.Request.RawQuery = "*", ""
	location(table.Redirect{}, asterisk, "http://shop.example")
}

func TestBadRedirectsAreRefused(t *testing.T) {
	refused := func(r table.Redirect) {
		t.Helper()
		if f, err := New(&r); err == nil {
			t.Errorf("%+v gives %+v", r, f)
		}
	}
	refused(table.Redirect{Scheme: "ftp"})
	refused(table.Redirect{Status: 200})
	refused(table.Redirect{Status: 304})
	for _, bad := range []string{"a/b", "a?b", "a#b", "a@b", "a\\b", "a\x7f", "ä"} {
		refused(table.Redirect{Hostname: bad})
	}
	refused(table.Redirect{Hostname: "a\r\nX: b"})
	refused(table.Redirect{Path: &table.PathEdit{}})
}

func redirected(t testing.TB) func() {
	prefix := "/c"
	f, err := New(&table.Redirect{Scheme: "https", Port: 8443, Path: &table.PathEdit{Prefix: &prefix, Matched: "/a"}})
	if err != nil {
		t.Fatal(err)
	}
	x := at(80)
	return func() {
		x.Arena.Reset()
		f.FilterRequest(x)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, redirected(t)); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRedirect(b *testing.B) {
	step := redirected(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
