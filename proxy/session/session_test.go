package session

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

const scope = "HTTPRoute shop/r 0"

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func keys(t testing.TB) *Keys {
	t.Helper()
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sessionOf(t testing.TB, cfg table.Session, scope string, k *Keys) *Session {
	t.Helper()
	s, err := New(&cfg, scope, k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// begin returns the field that begins a session at p.
func begin(s *Session, p Place, tls bool) exchange.Field {
	x := &exchange.Exchange{Conn: &exchange.Conn{TLS: tls}, Start: start}
	s.Begin(x, p)
	return x.Response.Header[0]
}

// find looks for the session of a request with these fields, so long after start.
func find(s *Session, later time.Duration, fields ...exchange.Field) (Place, bool) {
	x := &exchange.Exchange{Conn: &exchange.Conn{}, Start: start.Add(later), Request: exchange.Request{Header: fields}}
	return s.Find(x)
}

func place(addr string) Place { return Place{Key("shop/api:80"), netip.MustParseAddrPort(addr)} }

func TestToken(t *testing.T) {
	k := keys(t)
	s := sessionOf(t, table.Session{Header: "X-Session", Lifetime: time.Minute}, scope, k)
	for _, addr := range []string{"10.0.0.1:8080", "[fd00::1]:80"} {
		f := begin(s, place(addr), false)
		if f.Name != "X-Session" || len(f.Value) != tokenLen {
			t.Errorf("the answer has %v", f)
		}
		if p, ok := find(s, 59*time.Second, exchange.Field{Name: "x-session", Value: f.Value}); !ok || p != place(addr) {
			t.Errorf("%s became %v, %v", addr, p, ok)
		}
		if _, ok := find(s, 60*time.Second, exchange.Field{Name: "x-session", Value: f.Value}); ok {
			t.Error("a session outlived its end")
		}
		other := sessionOf(t, table.Session{Header: "X-Session"}, "HTTPRoute shop/r 1", k)
		if _, ok := find(other, 0, exchange.Field{Name: "x-session", Value: f.Value}); ok {
			t.Error("a rule took the session of another")
		}
		for i := range f.Value {
			changed := []byte(f.Value)
			changed[i] ^= 4
			if _, ok := find(s, 0, exchange.Field{Name: "x-session", Value: string(changed)}); ok {
				t.Errorf("a token with byte %d changed was taken", i)
			}
		}
	}
	if first, second := begin(s, place("10.0.0.1:80"), false), begin(s, place("10.0.0.1:80"), false); first == second {
		t.Error("two sessions at one endpoint can be told to be so")
	}
	if Key("shop/api:80") == Key("shop/api:81") {
		t.Error("two backends are one to a session")
	}
	if _, ok := find(s, 0); ok {
		t.Error("a request without a token has a session")
	}
}

func TestCookie(t *testing.T) {
	k := keys(t)
	p := place("10.0.0.1:80")
	attributes := func(cfg table.Session, tls bool, want string) {
		t.Helper()
		f := begin(sessionOf(t, cfg, scope, k), p, tls)
		value, got, _ := strings.Cut(f.Value, ";")
		if f.Name != "Set-Cookie" || got != want || !strings.HasPrefix(value, "id=") {
			t.Errorf("%v: %v, want %s", cfg, f, want)
		}
	}
	attributes(table.Session{Cookie: "id"}, false, " HttpOnly; SameSite=Strict")
	attributes(table.Session{Cookie: "id", Path: "/a"}, true, " Path=/a; HttpOnly; SameSite=Strict; Secure")
	attributes(table.Session{Cookie: "id", Path: "/", Lifetime: time.Hour}, false, " Path=/; HttpOnly; SameSite=Strict")
	attributes(table.Session{Cookie: "id", Path: "/", Permanent: true, Lifetime: time.Hour}, false, " Path=/; Max-Age=3600; HttpOnly; SameSite=Strict")

	s := sessionOf(t, table.Session{Cookie: "id", Path: "/"}, scope, k)
	pair, _, _ := strings.Cut(begin(s, p, false).Value, ";")
	found := func(want bool, values ...string) {
		t.Helper()
		var fields []exchange.Field
		for _, v := range values {
			fields = append(fields, exchange.Field{Name: "Cookie", Value: v})
		}
		if _, ok := find(s, 0, fields...); ok != want {
			t.Errorf("%v: found %v", values, ok)
		}
	}
	found(true, pair)
	found(true, "a=b; "+pair+"; c=d")
	found(true, "a=b", pair)
	found(true, "id=; id=other; "+pair)
	found(false, "id=1; id=2; id=3; id=4; "+pair) // no more than four are tried
	found(false, "x"+pair)
	found(false, "id")
}

func TestKeys(t *testing.T) {
	k, p := keys(t), place("10.0.0.1:80")
	s := sessionOf(t, table.Session{Header: "S"}, scope, k)
	old, now := strings.Repeat("a", 32), strings.Repeat("b", 32)
	if err := k.Set(old); err != nil {
		t.Fatal(err)
	}
	token := exchange.Field{Name: "S", Value: begin(s, p, false).Value}
	found := func(want bool, keys ...string) {
		t.Helper()
		if err := k.Set(keys...); err != nil {
			t.Fatal(err)
		}
		if _, ok := find(s, 0, token); ok != want {
			t.Errorf("found %v", ok)
		}
	}
	found(true, now, old)
	found(false, now)
	found(true, old)
	if k.Set() == nil || k.Set("short") == nil || k.Set(now, "short") == nil {
		t.Error("a bad key was taken")
	}
	if _, ok := find(s, 0, token); !ok {
		t.Error("a bad key has changed something")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []table.Session{{}, {Cookie: "a", Header: "b"}} {
		if _, err := New(&cfg, scope, keys(t)); err == nil {
			t.Errorf("%v was taken", cfg)
		}
	}
}

func TestAllocs(t *testing.T) {
	k, p := keys(t), place("10.0.0.1:80")
	s := sessionOf(t, table.Session{Cookie: "id", Path: "/"}, scope, k)
	pair, _, _ := strings.Cut(begin(s, p, false).Value, ";")
	x := &exchange.Exchange{Conn: &exchange.Conn{}, Start: start, Request: exchange.Request{Header: exchange.Header{{Name: "Cookie", Value: pair}}}}
	x.Response.Header = make(exchange.Header, 0, 4)
	n := testing.AllocsPerRun(1000, func() {
		if _, ok := s.Find(x); !ok {
			t.Fatal("not found")
		}
		s.Begin(x, p)
		x.Response.Header = x.Response.Header[:0]
		x.Arena.Reset()
	})
	if n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFind(f *testing.F) {
	k := keys(f)
	s := sessionOf(f, table.Session{Cookie: "id"}, scope, k)
	good, _, _ := strings.Cut(begin(s, place("10.0.0.1:80"), false).Value, ";")
	for _, seed := range []string{"", "id=", "id=" + strings.Repeat("A", tokenLen), good[:len(good)-1], "a=b; id=x;; id"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		if _, ok := find(s, 0, exchange.Field{Name: "cookie", Value: cookie}); ok {
			t.Errorf("%q was made up and taken", cookie)
		}
	})
}
