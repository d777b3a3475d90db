package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sampleTable() *table.Table {
	action := &table.Action{
		Route: "HTTPRoute shop/orders", Rule: "0",
		Auth: &table.Auth{Sources: []table.Source{{Policy: "AuthPolicy shop/orders"}}},
	}
	return &table.Table{
		Listeners: []*table.Listener{{ID: "infra/web/http", Hosts: []*table.Host{{Name: "*", Rules: []*table.Rule{{Action: action}}}}}},
		Backends:  []*table.Backend{{ID: "shop/api:80"}},
	}
}

// fill makes every series appear.
func fill(m *Metrics, t *table.Table) {
	l := t.Listeners[0]
	r := m.Route(l.Hosts[0].Rules[0].Action)
	r.Observe(200, 3*time.Millisecond, 0)
	r.Observe(503, 20*time.Second, 2)
	m.Listener(l).Classes.Add(200)
	m.Port("127.0.0.1:80").Open.Add(1)
	m.Backend("shop/api:80").Requests.Add(2)
	m.Denials.Add("AuthPolicy shop/orders", "jwt_expired")
	m.ShadowDenials.Add("AuthPolicy shop/orders", "jwt_expired")
	m.Refusals.Add("ValidationPolicy shop/orders", "body_invalid")
	m.BadRequests.Add("", "bad_request")
	m.Answers.Add("", "no_route")
	m.Table.Swap.Observe(time.Millisecond)
}

func TestMetricsLint(t *testing.T) {
	m := New("v1", Sources{
		KeySets: func(f func(string, KeySet)) {
			f("https://issuer", KeySet{Age: 2 * time.Second, Kept: true})
			f("https://away", KeySet{Missing: true})
		},
		Backends: func(f func(string, Load)) { f("shop/api:80", Load{InFlight: 1, Connections: 2}) },
	})
	fill(m, sampleTable())
	problems, err := testutil.GatherAndLint(m.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "gatehouse_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	n, err := testutil.GatherAndCount(m.Registry)
	if err != nil || n < 24 {
		t.Fatalf("series = %d, %v", n, err)
	}
}

func TestMetricsValues(t *testing.T) {
	m := New("v1", Sources{})
	fill(m, sampleTable())
	want := `
# HELP gatehouse_route_requests_total Requests answered, by route rule and status class. Class 0xx: the client left first.
# TYPE gatehouse_route_requests_total counter
gatehouse_route_requests_total{code_class="2xx",route="HTTPRoute shop/orders",rule="0"} 1
gatehouse_route_requests_total{code_class="5xx",route="HTTPRoute shop/orders",rule="0"} 1
# HELP gatehouse_request_retries_total Further tries after a failed one, by route rule.
# TYPE gatehouse_request_retries_total counter
gatehouse_request_retries_total{route="HTTPRoute shop/orders",rule="0"} 2
# HELP gatehouse_requests_total Requests answered, by Gateway listener and status class. Class 0xx: the client left first.
# TYPE gatehouse_requests_total counter
gatehouse_requests_total{code_class="2xx",gateway="infra/web",listener="http"} 1
# HELP gatehouse_denials_total Requests refused by an AuthPolicy, by policy and cause.
# TYPE gatehouse_denials_total counter
gatehouse_denials_total{cause="jwt_expired",policy="AuthPolicy shop/orders"} 1
`
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), "gatehouse_route_requests_total",
		"gatehouse_request_retries_total", "gatehouse_requests_total", "gatehouse_denials_total"); err != nil {
		t.Fatal(err)
	}
}

func TestQuietRule(t *testing.T) {
	m := New("v1", Sources{})
	r := m.Route(sampleTable().Listeners[0].Hosts[0].Rules[0].Action)
	count := func() int {
		t.Helper()
		n, err := testutil.GatherAndCount(m.Registry, "gatehouse_route_requests_total", "gatehouse_request_duration_seconds", "gatehouse_request_retries_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := count(); got != 1 {
		t.Errorf("a rule that nobody has asked is %d series, want 1", got)
	}
	r.Observe(200, time.Minute, 0)
	if got := count(); got != 3 {
		t.Errorf("a rule that was asked has %d metrics, want 3", got)
	}
}

func TestRetain(t *testing.T) {
	m, tab := New("v1", Sources{}), sampleTable()
	fill(m, tab)
	route := m.Route(tab.Listeners[0].Hosts[0].Rules[0].Action)
	names := []string{"gatehouse_route_requests_total", "gatehouse_requests_total", "gatehouse_backend_requests_total", "gatehouse_denials_total"}
	count := func() int {
		t.Helper()
		n, err := testutil.GatherAndCount(m.Registry, names...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	m.Retain(sampleTable(), func() {}) // the same names in a new table
	if got := count(); got != 5 {
		t.Errorf("series kept = %d, want 5", got)
	}
	if m.Route(tab.Listeners[0].Hosts[0].Rules[0].Action) != route {
		t.Error("a route that stayed has new counters")
	}
	shared := sampleTable() // one host keeps what another, which is gone, has used too
	shared.Listeners[0].Hosts[0].Name = "a.example"
	more := *shared.Listeners[0]
	more.Hosts = append(sampleTable().Listeners[0].Hosts, more.Hosts...)
	m.Retain(&table.Table{Listeners: []*table.Listener{&more}, Backends: shared.Backends}, func() {})
	m.Retain(shared, func() {})
	if got := count(); got != 5 {
		t.Errorf("series kept by one host of two = %d, want 5", got)
	}
	m.Retain(&table.Table{}, func() {})
	if got := count(); got != 0 {
		t.Errorf("series after everything left = %d, want 0", got)
	}
}

func TestCausesBounded(t *testing.T) {
	var c Causes
	for i := range maxCauses + 10 {
		c.Add("p", string(rune(0x4e00+i)))
	}
	n, other := 0, uint64(0)
	c.each(func(k cause, v uint64) {
		n++
		if k.policy == "other" {
			other = v
		}
	})
	if n != maxCauses+1 || other != 10 {
		t.Errorf("series = %d, other = %d", n, other)
	}
	if a := testing.AllocsPerRun(100, func() { c.Add("p", "one more") }); a != 0 {
		t.Errorf("%v allocations for an event beyond the bound", a)
	}
}

// TestCausesThatAreNoText: Prometheus takes labels of UTF-8 alone.
func TestCausesThatAreNoText(t *testing.T) {
	var c Causes
	for range 3 {
		c.Add("p\xff", "x\xfe")
	}
	c.each(func(k cause, n uint64) {
		if k != (cause{"p?", "x?"}) || n != 3 {
			t.Errorf("%q: %d", k, n)
		}
	})
}

func TestRequestPathDoesNotAllocate(t *testing.T) {
	m, tab := New("v1", Sources{}), sampleTable()
	fill(m, tab)
	r, x := m.Route(tab.Listeners[0].Hosts[0].Rules[0].Action), request()
	buf := mem.GetSmall()
	for name, f := range map[string]func(){
		"observe": func() { r.Observe(200, time.Millisecond, 0) },
		"cause":   func() { m.Denials.Add("AuthPolicy shop/orders", "jwt_expired") },
		"line":    func() { appendLine(buf[:0], x, time.Millisecond) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func request() *exchange.Exchange {
	x := &exchange.Exchange{Start: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Conn: &exchange.Conn{Protocol: "HTTP/1.1"}}
	x.Request = exchange.Request{
		Method: "GET", Host: "a.example.com", Path: "/x", RawQuery: "access_token=s3cret",
		ClientIP: netip.MustParseAddr("192.0.2.7"),
	}
	x.Request.Header.Add("User-Agent", "curl/8\"\n{}\x7f\xff\u0085é")
	x.Request.Header.Add("Authorization", "Bearer s3cret")
	x.Request.Header.Add("Cookie", "session=s3cret")
	x.Response.Status = 200
	x.Principal = exchange.Principal{Method: "staff", Subject: "ann"}
	x.Trace = exchange.Trace{
		Listener: "infra/web/http", Route: "HTTPRoute shop/orders", Rule: "0", Backend: "shop/api:80",
		Endpoint: netip.MustParseAddrPort("10.0.0.1:8080"), Retries: 1, BytesIn: 2, BytesOut: 3, ID: 0xabc,
	}
	return x
}

func TestLine(t *testing.T) {
	got := string(appendLine(nil, request(), 1234567*time.Nanosecond))
	want := `{"time":"2026-01-02T03:04:05.006Z","client":"192.0.2.7","method":"GET","host":"a.example.com","path":"/x",` +
		`"status":200,"listener":"infra/web/http","protocol":"HTTP/1.1","route":"HTTPRoute shop/orders","rule":"0",` +
		`"backend":"shop/api:80","endpoint":"10.0.0.1:8080","duration_ms":1.234,"bytes_in":2,"bytes_out":3,"retries":1,` +
		`"auth_method":"staff","auth_subject":"ann","decision":"0000000000000abc","user_agent":"curl/8\"\u000a{}\u007f\ufffd\u0085é"}` + "\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Why an expression failed stands beside the policy whose it is, and nothing of the expression.
func TestLineTellsCause(t *testing.T) {
	x := request()
	x.Trace.Policy, x.Trace.Steps = "AuthPolicy shop/a", []exchange.Step{{Part: "policy"}, {When: "auth.claims.scope == 'x'", Cause: "no such key: scope"}, {Cause: "no such key: other"}}
	if got := string(appendLine(nil, x, time.Second)); !strings.Contains(got, `"policy":"AuthPolicy shop/a","cause":"no such key: scope","decision"`) {
		t.Error(got)
	}
}

func TestLineFitsItsBuffer(t *testing.T) {
	const longest = "2001:db8:1111:2222:3333:4444:5555:6666"
	x, long := request(), strings.Repeat("\x01", 64<<10)
	x.Request.Method, x.Request.Host, x.Request.Path, x.Response.Code = long, long, long, long
	x.Conn.Protocol = long
	x.Trace.Listener, x.Trace.Route, x.Trace.Rule, x.Trace.Backend = long, long, long, long
	x.Trace.Denied, x.Trace.Policy, x.Trace.Shadow = long, long, long
	x.Trace.Steps = []exchange.Step{{Cause: long}}
	x.Principal.Method, x.Principal.Subject = long, long
	x.Request.Header = exchange.Header{{Name: "User-Agent", Value: long}}
	x.Request.ClientIP, x.Trace.Endpoint = netip.MustParseAddr(longest), netip.MustParseAddrPort("["+longest+"]:65535")
	x.Trace.BytesIn, x.Trace.BytesOut, x.Trace.Retries, x.Trace.ID = math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxUint64
	x.Response.Status = math.MaxInt64
	if n := len(appendLine(nil, x, math.MaxInt64)); n > mem.Small {
		t.Errorf("line of %d bytes", n)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("GET", "a", "/\"\\\n\u2028\xc3")
	f.Fuzz(func(t *testing.T, method, host, path string) {
		x := request()
		x.Request.Method, x.Request.Host, x.Request.Path = method, host, path
		got := appendLine(nil, x, time.Second)
		var v map[string]any
		if err := json.Unmarshal(got, &v); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if i := bytes.IndexFunc(got, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }); i != len(got)-1 {
			t.Fatalf("control character at %d: %q", i, got)
		}
	})
}

type blocked struct {
	release chan struct{}
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	return b.Buffer.Write(p)
}

func TestLogDropsWhenFull(t *testing.T) {
	var dropped atomic.Uint64
	w := &blocked{release: make(chan struct{})}
	l := NewLog(w, 1, &dropped)
	const n = 3 * logQueue
	for range n {
		l.Record(request(), time.Millisecond)
	}
	close(w.release)
	l.Close()
	if lines := uint64(bytes.Count(w.Bytes(), []byte("\n"))); lines+dropped.Load() != n || dropped.Load() == 0 {
		t.Errorf("%d lines, %d dropped, want %d together", lines, dropped.Load(), n)
	}
}

func TestLogSamples(t *testing.T) {
	for share, want := range map[float64][2]int{0: {0, 0}, 0.5: {350, 650}, 1: {1000, 1000}} {
		var dropped atomic.Uint64
		var w bytes.Buffer
		l := NewLog(&w, share, &dropped)
		for range 1000 {
			l.Record(request(), 0)
		}
		l.Close()
		if n := bytes.Count(w.Bytes(), []byte("\n")) + int(dropped.Load()); n < want[0] || n > want[1] {
			t.Errorf("share %v: %d lines", share, n)
		}
	}
}

// failing fails all writes once it may.
type failing struct{ release chan struct{} }

func (f failing) Write([]byte) (int, error) {
	<-f.release
	return 0, errors.New("disk full")
}

// Lines that were to be written together are lost together.
func TestLogCountsFailures(t *testing.T) {
	var dropped atomic.Uint64
	w := failing{make(chan struct{})}
	l := NewLog(w, 1, &dropped)
	const n = 500 // more than fit into one write
	for range n {
		l.Record(request(), 0)
	}
	close(w.release)
	l.Close()
	if dropped.Load() != n {
		t.Errorf("%d of %d lines were lost and %d are counted", n, n, dropped.Load())
	}
}

func BenchmarkLine(b *testing.B) {
	buf, x := mem.GetSmall(), request()
	b.ReportAllocs()
	for b.Loop() {
		appendLine(buf[:0], x, time.Millisecond)
	}
}
