package headers

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func show(h exchange.Header) string {
	var out []string
	for _, f := range h {
		if f.Name != "" {
			out = append(out, f.Name+"="+f.Value)
		}
	}
	return strings.Join(out, " ")
}

func TestEdits(t *testing.T) {
	edit := func(e table.HeaderEdit, want string) {
		t.Helper()
		request, err := NewRequest(&e)
		if err != nil {
			t.Fatal(err)
		}
		response, err := NewResponse(&e)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Request.Header = exchange.Header{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "a", Value: "3"}}
		x.Response.Header = exchange.Header{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "a", Value: "3"}}
		if !request.FilterRequest(x) {
			t.Error("the request was answered")
		}
		response.FilterResponse(x)
		if got := show(x.Request.Header); got != want {
			t.Errorf("%+v: request %s, want %s", e, got, want)
		}
		if got := show(x.Response.Header); got != want {
			t.Errorf("%+v: response %s, want %s", e, got, want)
		}
	}
	one := func(name, value string) []table.Header { return []table.Header{{Name: name, Value: value}} }
	edit(table.HeaderEdit{}, "A=1 B=2 a=3")
	edit(table.HeaderEdit{Set: one("a", "x")}, "A=x B=2")
	edit(table.HeaderEdit{Set: one("C", " x\t")}, "A=1 B=2 a=3 c=x")
	edit(table.HeaderEdit{Add: one("A", "x")}, "A=1 B=2 a=3 a=x")
	edit(table.HeaderEdit{Remove: []string{"A", "Missing"}}, "B=2")
	edit(table.HeaderEdit{Set: one("b", "%{literal}"), Add: one("c", ""), Remove: []string{"a"}}, "B=%{literal} c=")
	edit(table.HeaderEdit{Set: one("a", "x"), Add: one("a", "y")}, "A=x B=2 a=y")
}

// A trailer field stands for nothing that the route has set or taken out.
func TestTrailersAreReserved(t *testing.T) {
	f, err := NewRequest(&table.HeaderEdit{Set: []table.Header{{Name: "X-Tenant", Value: "shop"}, {Name: "Host", Value: "b"}}, Add: []table.Header{{Name: "X-More", Value: "1"}}, Remove: []string{"X-Role"}})
	if err != nil {
		t.Fatal(err)
	}
	is := func(want string, length int64, before ...string) {
		t.Helper()
		x := &exchange.Exchange{Request: exchange.Request{Body: &exchange.Buffered{}, ContentLength: length, Reserved: before}}
		f.FilterRequest(x)
		if got := strings.Join(x.Request.Reserved, " "); got != want {
			t.Errorf("of %d bytes: %s, want %s", length, got, want)
		}
	}
	is("x-tenant x-role", -1)
	is("x-user x-tenant x-role", -1, "x-user")
	is("", 5)
}

func TestHostIsTheAuthority(t *testing.T) {
	f, err := NewRequest(&table.HeaderEdit{Set: []table.Header{{Name: "X", Value: "1"}, {Name: "Host", Value: "b.example"}, {Name: "Y", Value: "2"}}})
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Request: exchange.Request{Authority: "a.example"}}
	f.FilterRequest(x)
	if x.Request.Authority != "b.example" || show(x.Request.Header) != "x=1 y=2" {
		t.Errorf("authority %s, header %s", x.Request.Authority, show(x.Request.Header))
	}
}

func TestBadFieldsAreRefused(t *testing.T) {
	refused := func(name, value string) {
		t.Helper()
		for _, e := range []table.HeaderEdit{{Set: []table.Header{{Name: name, Value: value}}}, {Add: []table.Header{{Name: name, Value: value}}}} {
			if f, err := NewRequest(&e); err == nil {
				t.Errorf("%+v gives %+v", e, f)
			}
			if f, err := NewResponse(&e); err == nil {
				t.Errorf("%+v gives %+v", e, f)
			}
		}
	}
	refused("", "x")
	refused("a b", "x")
	refused("a:", "x")
	refused("a", "x\r\nb: y")
	refused("a", "x\x00")
	refused("Content-Length", "5")
	refused("transfer-encoding", "chunked")
	refused("Connection", "close")
}

func filtered(t testing.TB) func() {
	f, err := NewRequest(&table.HeaderEdit{
		Set: []table.Header{{Name: "X-Env", Value: "test"}},
		Add: []table.Header{{Name: "X-Via", Value: "gate"}}, Remove: []string{"x-internal"},
	})
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	return func() {
		x.Request.Header = append(x.Request.Header[:0], exchange.Field{Name: "Accept", Value: "*/*"},
			exchange.Field{Name: "X-Internal", Value: "1"}, exchange.Field{Name: "User-Agent", Value: "x"})
		f.FilterRequest(x)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, filtered(t)); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	step := filtered(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
