package cors

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func build(t testing.TB, c table.CORS) *Filter {
	t.Helper()
	f, err := New(&c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ask sends a request with such header fields, "Origin: a", through f and shows
// whether it was admitted and what stands in the answer.
func ask(f *Filter, method string, fields ...string) string {
	x := &exchange.Exchange{Request: exchange.Request{Method: method}}
	for _, s := range fields {
		name, value, _ := strings.Cut(s, ": ")
		x.Request.Header.Add(name, value)
	}
	out := "admitted"
	if !f.Admit(x) {
		out = "answered"
	}
	f.FilterResponse(x)
	for _, h := range x.Response.Header {
		if h.Name != "" {
			out += " " + strings.TrimPrefix(h.Name, "Access-Control-") + "=" + strings.ReplaceAll(h.Value, " ", "")
		}
	}
	return out
}

func TestOrigins(t *testing.T) {
	f := build(t, table.CORS{Origins: []string{"https://www.foo.com", "https://*.bar.com", "http://plain.com:80", "https://port.com:8443", "http://*:81", "https://[2001:db8::1]"}})
	allowed := func(origin string, want bool) {
		t.Helper()
		if got := f.share(origin) == origin; got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
	allowed("https://www.foo.com", true)
	allowed("HTTPS://WWW.foo.com:443", true)
	allowed("http://www.foo.com", false)
	allowed("https://www.foo.com:8443", false)
	allowed("https://www.foo.com.evil.com", false)
	allowed("https://foo.com", false)
	allowed("https://www.bar.com", true)
	allowed("https://x.www.bar.com", true)
	allowed("https://bar.com", false)
	allowed("https://foobar.com", false)
	allowed("https://.bar.com", false)
	for _, end := range []string{"/", "#", "?", "\\", "@", "`", "%60", " ", ",", "{"} {
		allowed("https://evil.com"+end+".bar.com", false)
	}
	allowed("https://xn--4ca_A-1.bar.com", true)
	allowed("http://[::1]:81", true)
	allowed("http://plain.com", true)
	allowed("https://port.com", false)
	allowed("https://port.com:8443", true)
	allowed("http://any.thing:81", true)
	allowed("http://any.thing", false)
	allowed("https://[2001:db8::1]", true)
	allowed("https://[2001:db8::1]:81", false)
	allowed("httpz://www.foo.com", false)
	allowed("null", false)
	allowed("https://", false)
	allowed("http://[::1]", false)
}

func TestAnswers(t *testing.T) {
	is := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	const origin, method, headers = "Origin: https://a.example", "Access-Control-Request-Method: PUT", "access-control-request-headers: x-a, x-b"
	f := build(t, table.CORS{
		Origins: []string{"https://a.example"}, Methods: []string{"GET", "PUT"}, Headers: []string{"X-A", "X-B"},
		ExposeHeaders: []string{"X-C", "X-D"}, Credentials: true, MaxAge: 3600,
	})
	is(ask(f, "OPTIONS", origin, method, headers),
		"answered Allow-Methods=GET,PUT Allow-Headers=X-A,X-B Max-Age=3600 Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=X-C,X-D")
	is(ask(f, "OPTIONS", "Origin: https://b.example", method), "answered Vary=Origin")
	is(ask(f, "GET", origin), "admitted Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=X-C,X-D")
	is(ask(f, "GET", "Origin: https://b.example"), "admitted Vary=Origin")
	is(ask(f, "GET"), "admitted Vary=Origin")
	// These are no preflights.
	is(ask(f, "OPTIONS", origin), "admitted Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=X-C,X-D")
	is(ask(f, "OPTIONS", method), "admitted Vary=Origin")
	is(ask(f, "PUT", origin, method), "admitted Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true Expose-Headers=X-C,X-D")

	f = build(t, table.CORS{Origins: []string{"https://a.example"}})
	is(ask(f, "OPTIONS", origin, method, headers), "answered Max-Age=5 Vary=Origin Allow-Origin=https://a.example")

	all := []string{"*"}
	f = build(t, table.CORS{Origins: all, Methods: all, Headers: all, ExposeHeaders: all})
	is(ask(f, "OPTIONS", origin, method, headers), "answered Allow-Methods=PUT Allow-Headers=x-a,x-b Max-Age=5 Allow-Origin=* Expose-Headers=*")
	is(ask(f, "OPTIONS", origin, method), "answered Allow-Methods=PUT Max-Age=5 Allow-Origin=* Expose-Headers=*")
	is(ask(f, "GET"), "admitted Allow-Origin=* Expose-Headers=*")
	f = build(t, table.CORS{Origins: all, Methods: all, Headers: all, ExposeHeaders: all, Credentials: true})
	is(ask(f, "OPTIONS", origin, method, headers),
		"answered Allow-Methods=PUT Allow-Headers=x-a,x-b Max-Age=5 Vary=Origin Allow-Origin=https://a.example Allow-Credentials=true")
	is(ask(f, "GET", "Origin: *"), "admitted Vary=Origin")
}

func TestWhatABackendSaysDoesNotCount(t *testing.T) {
	f := build(t, table.CORS{Origins: []string{"https://a.example"}})
	x := &exchange.Exchange{}
	x.Request.Header.Add("Origin", "https://b.example")
	f.Admit(x)
	x.Response.Header.Add("Access-Control-Allow-Origin", "*")
	f.FilterResponse(x)
	if v, ok := x.Response.Header.Get("access-control-allow-origin"); ok {
		t.Errorf("the answer is shared with %s", v)
	}
	x = &exchange.Exchange{}
	x.Request.Header.Add("Origin", "https://a.example")
	f.Admit(x)
	for _, field := range []string{"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
		x.Response.Header.Add(field, "true")
	}
	f.FilterResponse(x)
	for _, field := range []string{"access-control-allow-credentials", "access-control-expose-headers"} {
		if v, ok := x.Response.Header.Get(field); ok {
			t.Errorf("%s: %s is the backend's", field, v)
		}
	}
}

func TestWhatIsNoCORS(t *testing.T) {
	for _, bad := range []table.CORS{
		{Origins: []string{"a.example"}},
		{Origins: []string{"ftp://a.example"}},
		{Origins: []string{"https://"}},
		{Origins: []string{"https://a.*.example"}},
		{Origins: []string{"https://a.example/path"}},
		{Headers: []string{"a\r\nb"}},
		{Methods: []string{"G\nET"}},
		{ExposeHeaders: []string{"\x00"}},
	} {
		if f, err := New(&bad); err == nil {
			t.Errorf("%+v gives %+v", bad, f)
		}
	}
}

// asked is one request that is admitted and answered.
func asked(t testing.TB) func() {
	f := build(t, table.CORS{Origins: []string{"https://a.example", "https://*.b.example"}, Credentials: true})
	x := &exchange.Exchange{Request: exchange.Request{Method: "GET"}}
	x.Request.Header = exchange.Header{{Name: "Accept", Value: "*/*"}, {Name: "Origin", Value: "https://x.b.example"}}
	return func() {
		x.Response.Header = x.Response.Header[:0]
		f.Admit(x)
		f.FilterResponse(x)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	step := asked(t)
	step()
	if n := testing.AllocsPerRun(100, step); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCORS(b *testing.B) {
	step := asked(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
