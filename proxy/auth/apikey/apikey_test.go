package apikey

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// place is the one place keys stand in here.
type place struct{}

func (place) Find(x *exchange.Exchange) (string, auth.Outcome) {
	if v, ok := x.Request.Header.Get("key"); ok {
		return v, auth.Accepted
	}
	return "", auth.Absent
}
func (place) Strip(x *exchange.Exchange) { x.Request.Header.Del("key") }

func keys(n int) *table.APIKeys {
	t := &table.APIKeys{ID: "test"}
	for i := range n {
		t.Keys = append(t.Keys, &table.APIKey{Secret: "s", Hash: sha256.Sum256(fmt.Appendf(nil, "key-%d", i)), Subject: fmt.Sprint(i)})
	}
	return t
}

func TestPrincipal(t *testing.T) {
	set := keys(3)
	set.Keys[1].Plan, set.Keys[1].Scopes, set.Keys[1].Metadata = "big", []string{"a", "b"}, map[string]string{"tier": "gold"}
	m := New(NewIndex(set, nil), place{}, table.CredentialSource{Header: "Key"}, nil)
	x := &exchange.Exchange{}
	x.Request.Header.Add("Key", "key-1")
	r := m.Authenticate(x, &x.Principal)
	want := map[string]any{"plan": "big", "scopes": []string{"a", "b"}, "metadata": map[string]any{"tier": "gold", "plan": "big", "scopes": []string{"a", "b"}}}
	if r.Outcome != auth.Accepted || x.Principal.Subject != "1" || !reflect.DeepEqual(x.Principal.Claims, want) {
		t.Errorf("%+v %+v", r, x.Principal)
	}
	if n := testing.AllocsPerRun(100, func() { m.Authenticate(x, &x.Principal) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	m.Strip(x)
	if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Absent {
		t.Errorf("%+v", r)
	}
}

func TestValidity(t *testing.T) {
	is := func(notBefore, expires, now int64, want string) {
		t.Helper()
		set := keys(1)
		set.Keys[0].NotBefore, set.Keys[0].Expires = notBefore, expires
		m := New(NewIndex(set, nil), place{}, table.CredentialSource{}, nil)
		x := &exchange.Exchange{Start: time.Unix(now, 0)}
		x.Request.Header.Add("key", "key-0")
		if r := m.Authenticate(x, &x.Principal); r.Code != want || (want == "") != (x.Principal.Subject != "") {
			t.Errorf("%d to %d at %d: %+v, want %q", notBefore, expires, now, r, want)
		}
	}
	is(0, 0, 5, "")
	is(5, 6, 5, "")
	is(5, 6, 4, auth.CodeAPIKeyEarly)
	is(5, 6, 6, auth.CodeAPIKeyExpired)
	is(5, 0, 9, "")
	is(0, 5, 4, "")
}

// What is remembered of a key is judged like what is looked up: by the clock, and
// by the whole key.
func TestRecent(t *testing.T) {
	set := keys(4000)
	set.Keys[0].Expires = 100
	ix := NewIndex(set, nil)
	m := New(ix, place{}, table.CredentialSource{}, nil)
	is := func(key string, at int64, want string) {
		t.Helper()
		x := &exchange.Exchange{Start: time.Unix(at, 0)}
		x.Request.Header.Add("key", key)
		if r := m.Authenticate(x, &x.Principal); r.Code != want || want == "" && "key-"+x.Principal.Subject != key {
			t.Errorf("%s at %d: %+v %+v, want %q", key, at, r, x.Principal, want)
		}
	}
	is("key-0", 99, "")
	is("key-0", 99, "")
	is("key-0", 100, auth.CodeAPIKeyExpired)
	is("key-", 99, auth.CodeAPIKeyUnknown)
	is("key-00", 99, auth.CodeAPIKeyUnknown)
	for range 2 {
		for i := range 4000 {
			is(fmt.Sprint("key-", i), 50, "")
		}
	}
	held := map[string]bool{}
	remembered := func() (n int) {
		for i := range ix.recent {
			if k := ix.recent[i].Load(); k != nil {
				if n++; k.entry.key.Subject != k.key[len("key-"):] {
					t.Errorf("%s is remembered as %s", k.key, k.entry.key.Subject)
				}
				held[k.key] = true
			}
		}
		return n
	}
	if n := remembered(); n < maxRecent/2 || n > maxRecent {
		t.Errorf("%d of 4000 keys are remembered", n)
	}
	before := len(held)
	for i := range 4000 { // as often as they come, those in use stay
		is(fmt.Sprint("key-", i), 51, "")
	}
	if remembered(); len(held) != before {
		t.Errorf("%d places have been taken from keys in use", len(held)-before)
	}
	for i := 2000; i < 4000; i++ {
		is(fmt.Sprint("key-", i), 60, "")
	}
	if remembered(); len(held) == before {
		t.Error("no place has been taken from a key that was not in use any more")
	}
}

func TestChallenge(t *testing.T) {
	is := func(from table.CredentialSource, want string) {
		t.Helper()
		if got := New(nil, place{}, from, nil).Challenge(); got != want {
			t.Errorf("%+v: %s", from, got)
		}
	}
	is(table.CredentialSource{Header: "X-API-Key"}, `ApiKey realm="gatehouse", header="X-API-Key"`)
	is(table.CredentialSource{Header: "Authorization", Scheme: "Token"}, `Token realm="gatehouse"`)
	is(table.CredentialSource{Cookie: "k"}, `ApiKey realm="gatehouse", cookie="k"`)
	is(table.CredentialSource{Query: "k"}, `ApiKey realm="gatehouse"`)
}

func BenchmarkAuthenticate(b *testing.B) {
	m := New(NewIndex(keys(10_000), nil), place{}, table.CredentialSource{}, nil)
	x := &exchange.Exchange{}
	x.Request.Header.Add("key", "key-5000")
	b.ReportAllocs()
	for b.Loop() {
		m.Authenticate(x, &x.Principal)
	}
}

// BenchmarkMemory100k reports what 100,000 keys with scopes, a plan and metadata
// take: the table's part, and the index.
func BenchmarkMemory100k(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		before := heap()
		t := keys(n)
		for _, k := range t.Keys {
			k.Scopes, k.Plan, k.Metadata = []string{"orders.read", "orders.write"}, "gold", map[string]string{"tier": "gold"}
		}
		ix := NewIndex(t, nil)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(heap()-before)/n, "B/key")
		runtime.KeepAlive(ix)
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
