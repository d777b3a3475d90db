package match

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func steps(t testing.TB) map[string]func() {
	x := &exchange.Exchange{}
	x.Request = exchange.Request{Method: "GET", RawQuery: "page=2&expand=a%20b", Header: exchange.Header{
		{Name: "Accept", Value: "*/*"}, {Name: "User-Agent", Value: "x"}, {Name: "X-Env", Value: "test"}, {Name: "X-Env", Value: "more"},
	}}
	c, err := NewConditions(&table.Match{
		Method:  "GET",
		Headers: []table.ValueMatch{{Name: "accept", Kind: table.ValueRegex, Value: ".*"}, {Name: "x-env", Value: "test,more"}},
		Query:   []table.ValueMatch{{Name: "expand", Value: "a b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Match(x) {
		t.Fatal("the conditions do not hold")
	}
	return map[string]func(){
		"plain path":   func() { NormalizePath("/api/v1/orders/4711/lines", &x.Arena) },
		"escaped path": func() { NormalizePath("/api/./v1/%6frders/4711%2F2/../lines", &x.Arena); x.Arena.Reset() },
		"conditions":   func() { c.Match(x); x.Arena.Reset() },
	}
}

func BenchmarkMatch(b *testing.B) {
	for name, step := range steps(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for name, step := range steps(t) {
		if n := testing.AllocsPerRun(100, step); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
