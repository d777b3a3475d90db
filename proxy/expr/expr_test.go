package expr

import (
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func request() *exchange.Exchange {
	x := &exchange.Exchange{
		Conn:  &exchange.Conn{Peer: netip.MustParseAddrPort("198.51.100.7:4242")},
		Start: time.Unix(1_800_000_000, 0),
		Principal: exchange.Principal{Method: "staff", Subject: "ann", Claims: map[string]any{
			"scope": "orders.read orders.write", "level": 3.0, "groups": []any{"a", "b"}, "admin": true, "none": nil,
			"address": map[string]any{"country": "IT"}, "metadata": map[string]string{"tier": "gold"},
		}},
		Trace: exchange.Trace{Route: "HTTPRoute shop/orders", Rule: "list", Listener: "infra/web/https"},
	}
	x.Request = exchange.Request{
		Method: "GET", Scheme: "https", Host: "api.example.com", Path: "/v1/orders", RawQuery: "limit=10&a%20b=c+d&two=1&two=2",
		Header:   exchange.Header{{Name: "X-Tenant", Value: "acme"}, {Name: "Accept", Value: "a/b"}, {Name: "accept", Value: "c/d"}, {Name: "", Value: "gone"}},
		ClientIP: netip.MustParseAddr("192.0.2.1"),
	}
	return x
}

func env(t testing.TB) *Env {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestBool(t *testing.T) {
	e := env(t)
	run := func(text string) (bool, error) {
		t.Helper()
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return p.Bool(request())
	}
	is := func(text string, want bool) {
		t.Helper()
		if got, err := run(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	fails := func(text, want string) {
		t.Helper()
		if got, err := run(text); err == nil || got || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", text, got, err, want)
		}
	}
	is("'' in request.headers", false) // a field that was taken out is not there
	fails("request.headers[''] == 'gone'", "no such key")
	is("request.method == 'GET'", true)
	is("request.method != 'GET'", false)
	is("!request.path.startsWith('/healthz')", true)
	is("request.host.endsWith('.example.com') && request.scheme == 'https'", true)
	is("request.headers['x-tenant'] == 'acme'", true)
	is("request.headers['nope'] == 'acme' || true", true)
	is("request.headers.accept == 'a/b, c/d'", true)
	is("'x-tenant' in request.headers", true)
	is("'nope' in request.headers", false)
	is("has(request.headers.accept)", true)
	is("has(request.headers.nope)", false)
	is("size(request.headers) == 2", true)
	is("request.headers.exists(k, k == 'accept')", true)
	is("request.headers.all(k, size(request.headers[k]) > 2)", true)
	is("request.query['limit'] == '10'", true)
	is("int(request.query.limit) <= 100", true)
	is("request.query['a b'] == 'c d'", true)
	is("'two' in request.query", true)
	is("size(request.query) == 3", true)
	is("source.address == '192.0.2.1' && source.port == 4242", true)
	is("auth.method == 'staff' && auth.subject == 'ann'", true)
	is("'orders.write' in auth.claims.scope.split(' ')", true)
	is("auth.claims.level >= 3", true)
	is("auth.claims['level'] == 3", true)
	is("'b' in auth.claims.groups", true)
	is("auth.claims.admin", true)
	is("auth.claims.none == null", true)
	is("auth.claims.address.country == 'IT'", true)
	is("auth.claims.?nope.orValue('') == ''", true)
	is("has(auth.claims.nope)", false)
	is("auth.metadata.tier == 'gold'", true)
	is("auth.metadata.tier in ['silver', 'gold']", true)
	is("route.name == 'HTTPRoute shop/orders' && route.rule == 'list' && route.listener == 'infra/web/https'", true)
	is("context.now > timestamp('2020-01-01T00:00:00Z')", true)
	is("request.path.matches('^/v[0-9]+/')", true)

	fails("request.headers['nope'] == 'acme'", "no such key")
	fails("auth.claims.nope == 'x'", "no such key")
	fails("request.query.two == '1'", "is there 2 times")
	fails("auth.claims.level", "neither true nor false")
	fails("int(request.method) > 1", "type conversion")
}

func TestString(t *testing.T) {
	e := env(t)
	is := func(text, want string, there bool) {
		t.Helper()
		p, err := e.Compile(text, String)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, ok, err := p.String(request()); err != nil || got != want || ok != there {
			t.Errorf("%s: %q, %v, %v", text, got, ok, err)
		}
	}
	is("auth.subject", "ann", true)
	is("auth.metadata.tier", "gold", true)
	is("auth.claims.level", "3", true)
	is("auth.claims.admin", "true", true)
	is("auth.claims.groups", "a,b", true)
	is("['x', 'y']", "x,y", true)
	is("auth.claims.none", "", false)
	is("auth.claims.nope", "", false)
	is("auth.claims.?nope", "", false)
	is("1u", "1", true)
	is("size(auth.subject)", "3", true)
	is("null", "", false)
	p, err := e.Compile("auth.claims.address", String)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := p.String(request()); err == nil {
		t.Errorf("a map became %q, %v", got, ok)
	}
}

func TestErrors(t *testing.T) {
	e := env(t)
	fails := func(kind Kind, text, want string) {
		t.Helper()
		err := e.Check(text, kind)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %s", text, err, want)
		}
	}
	fails(Bool, "", "expression is empty")
	fails(Bool, "request.methd == 'GET'", "1:1: there is no request.methd; there are request.method, request.scheme")
	fails(Bool, "true && has(\nauth . claim.x)", "2:1: there is no auth.claim; there are auth.method")
	fails(Bool, "request.path.startswith('/v1')", "1:24: there is no function startswith; did you mean startsWith?")
	fails(Bool, "request.path.ends('/v1')", "1:18: there is no function ends; did you mean endsWith?")
	fails(Bool, "cidr('10.0.0.0/8') == source.address", "1:5: there is no function cidr")
	for _, text := range []string{"request.headers['X-Tenant'] == 'a'", "request.headers.X_Tenant == 'a'", "'X-Tenant' in request.headers", "request.headers[?'X-Tenant'].hasValue()", "request.headers.?X_Tenant.hasValue()"} {
		fails(Bool, text, "names of header fields are in lower case here, so there is never a X")
	}
	fails(String, "true ? 'a' : request.headers['X-Tenant']", "1:30: names of header fields are in lower case here, so there is never a X-Tenant; write x-tenant")
	fails(Bool, "request == 1", "1:1: request is no value by itself; there are request.method")
	fails(Bool, "user == 'x'", "1:1: there is no user; there are request, source, auth, metadata, route, context")
	fails(Bool, "true &&\nrequest.method == 1", "2:16: found no matching overload for '_==_'")
	fails(Bool, "request.method ==", "1:18: it ends too early; complete it")
	fails(Bool, "request.method == 'a')", "1:22: Syntax error: extraneous input ')'; correct the expression there")
	fails(Bool, "request.method", "it comes to a string, and a condition is true or false")
	fails(String, "request.headers", "which has no text")
	fails(Bool, "request.path.matches('(')", "1:22")
	fails(Bool, strings.Repeat("a", maxBytes+1), "use at most 4096")
	fails(Bool, strings.Repeat("(", 500)+"true"+strings.Repeat(")", 500), "1:")
	fails(Bool, "request.headers.all(a, request.headers.all(b, request.headers.all(c, a == c)))", "loops are nested more than 2 deep")
	fails(Bool, "auth.claims.all(a, auth.claims.all(b, auth.claims[a].matches(b)))", "loop over less")
}

// A short expression must not be able to make long text.
func TestGrowth(t *testing.T) {
	e := env(t)
	refused := func(text, want string) {
		t.Helper()
		if err := e.Check(text, Bool); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	grow := ".replace('', '" + strings.Repeat("a", 50) + "')"
	refused("size(auth.subject"+strings.Repeat(grow, 3)+") > 1", "loop over less")
	refused("size(request.query.limit"+strings.Repeat(grow, 8)+") > 1", "loop over less")
	refused("['a']"+strings.Repeat(".map(y, y + y + y + y)", 3)+" == []", "loops are nested")
	numbers := "[" + strings.Repeat("1,", 199) + "1]" // what costs too much on every request never runs to its end
	refused(numbers+".map(a, "+numbers+".map(b, a + b)) == []", "loop over less")
	refused("'%s%s'.format([request.path, request.path]) == ''", "format is not available")
	refused("'%.9999999f'.format([1.0]) == ''", "precision")
}

func TestRunLimit(t *testing.T) {
	p, err := env(t).Compile("auth.claims.list.all(a, a.contains('b'))", Bool)
	if err != nil {
		t.Fatal(err)
	}
	x := request()
	x.Principal.Claims = map[string]any{"list": []any{strings.Repeat("ab", 1<<20)}}
	if ok, err := p.Bool(x); err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("got %v, %v", ok, err)
	}
}

// TestTwoRepeatedFields looks at two fields that are there twice, in one run: neither passes
// for the other.
func TestTwoRepeatedFields(t *testing.T) {
	p, err := env(t).Compile("request.headers['x-a'] + '|' + request.headers['x-b'] + '|' + request.headers['x-a']", String)
	if err != nil {
		t.Fatal(err)
	}
	x := request()
	x.Request.Header = exchange.Header{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: "2"}, {Name: "x-b", Value: "3"}, {Name: "x-a", Value: "4"}}
	if got, _, err := p.String(x); err != nil || got != "1, 4|2, 3|1, 4" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManyFields checks that what a caller repeats costs no more with each look:
// a loop over claims or parameters took a second of the processor's time.
func TestManyFields(t *testing.T) {
	e, x := env(t), request()
	for range 95 {
		x.Request.Header.Add("X-Role", strings.Repeat("a", 640))
	}
	var raw strings.Builder
	for i := range 2000 {
		raw.WriteString(strconv.FormatInt(int64(i), 36) + "&")
	}
	x.Request.RawQuery = raw.String() + "z+z=1&two=1&two=%32"
	roles := make([]any, 256)
	for i := range roles {
		roles[i] = "r" + strconv.Itoa(i)
	}
	x.Principal.Claims = map[string]any{"roles": roles}
	for text, want := range map[string]bool{
		"auth.claims.roles.exists(r, request.headers['x-role'] == r)":                                                              false,
		"request.headers['x-role'].startsWith('aaa') && auth.claims.roles.all(r, size(request.headers['x-role']) == 95 * 642 - 2)": true,
		"auth.claims.roles.exists(r, request.headers['accept'] == 'a/b, c/d')":                                                     true,
		"request.query.exists(k, k == 'z z' && request.query[k] == '1')":                                                           true,
		"request.query.all(k, k == 'two' || request.query[k] != 'admin')":                                                          true,
		"auth.claims.roles.exists(r, r + '-' in request.query)":                                                                    false,
		"size(request.query) == 2002":                                                                                              true,
	} {
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		x.Arena.Reset()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got, err := p.Bool(x); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 { // the library makes runes of the texts that it counts
			t.Errorf("%s took %d bytes of memory", text, n)
		}
	}
	q := &query{x: x}
	for range scans + 1 {
		if v, n := q.look("z z"); v != "1" || n != 1 {
			t.Errorf("z z is %q, %d times", v, n)
		}
	}
	if q.all == nil {
		t.Error("the query is scanned for each look")
	}
	p, err := e.Compile("request.query.exists(k, request.query[k] == '2')", Bool)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Bool(x); err == nil || !strings.Contains(err.Error(), "2 times") {
		t.Errorf("a repeated parameter is %v, %v", got, err)
	}
}

func BenchmarkRule(b *testing.B) {
	e := env(b)
	for _, text := range []string{
		"request.method == 'GET'",
		"request.headers['x-tenant'] == 'acme'",
		"'orders.write' in auth.claims.scope.split(' ')",
		"request.method != 'GET' || auth.claims.level >= 3",
		"auth.claims.groups.exists(g, g == 'b')",
	} {
		p, err := e.Compile(text, Bool)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			x := request()
			for b.Loop() {
				if _, err := p.Bool(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Whatever compiles runs to an answer or an error, and says nothing of itself
// that Check did not.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"request.method == 'GET'", "'a' in auth.claims.scope.split(' ')", "auth.claims.?x.orValue(1) > 2u", "request.headers.exists(k, k.matches('x+'))", "{1:2}[1]==2", "("} {
		f.Add(s)
	}
	e := env(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := e.Compile(text, Bool)
		if checked := e.Check(text, Bool); (checked == nil) != (err == nil) {
			t.Fatalf("Check says %v, Compile says %v", checked, err)
		}
		if err != nil {
			return
		}
		if ok, err := p.Bool(request()); ok && err != nil {
			t.Fatalf("true and %v", err)
		}
	})
}

// What is said of a path holds for what backends may read it as, or it fails.
func TestVeiledPath(t *testing.T) {
	e := env(t)
	for _, c := range []struct{ text, path, unveiled, want string }{
		{"request.path.startsWith('/admin')", "//admin", "/admin", "error"},
		{"!request.path.startsWith('/admin')", "//admin", "/admin", "error"},
		{"request.path == '/healthz'", "/healthz;x", "/healthz", "error"},
		{"[request.path].exists(p, p.matches('^/a/[^/]+$'))", "/a/b%2Fc", "/a/b/c", "error"},
		{"request.path.split('/')[3] == 'c'", "/a/b%2Fc", "/a/b/c", "error"},
		{"request.path.startsWith('/admin')", "/admin//x", "/admin/x", "true"},
		{"request.path.startsWith('/admin')", "/b//x", "/b/x", "false"},
		{"request.path.startsWith('/admin') || request.method == 'GET'", "//admin", "/admin", "true"},
		{"request.path.startsWith('/admin')", "/admin%25", "", "true"},
		{"request.method == 'GET'", "//admin", "/admin", "true"},
	} {
		p, err := e.Compile(c.text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		x := request()
		x.Request.Path, x.Request.Unveiled = c.path, c.unveiled
		got := "error"
		if yes, err := p.Bool(x); err == nil {
			got = strconv.FormatBool(yes)
		}
		if got != c.want || x.Request.Path != c.path {
			t.Errorf("%s of %s: %s, want %s; the path is %s then", c.text, c.path, got, c.want, x.Request.Path)
		}
		x.Request.Unveiled, x.Request.Unscripted = "", c.unveiled
		if yes, err := p.Bool(x); (err != nil) != (got == "error") || yes != (got == "true") {
			t.Errorf("%s of %s, by a script: %v, %v, want %s", c.text, c.path, yes, err, c.want)
		}
	}
	x := request()
	x.Request.Path, x.Request.Unscripted = "/index.php/admin", "/admin"
	p, err := e.Compile("request.path.startsWith('/index.php')", Bool)
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := p.Bool(x); !yes || err != nil {
		t.Errorf("of who names the script: %v, %v", yes, err)
	}
}
