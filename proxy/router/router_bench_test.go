package router

import (
	"fmt"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// shop is a listener with that many hosts of five rules each; every tenth host
// has a rule with a regular expression and one with a header match.
func shop(hosts int) *table.Listener {
	l := at("")
	for i := range hosts {
		h := on(fmt.Sprintf("h%d.example.com", i), prefix("/api/v1"), prefix("/api/v2"), exact("/healthz"), prefix("/static"), prefix("/"))
		if i%10 == 0 {
			h.Rules[0] = regex("/api/v1/orders/[0-9]+")
			h.Rules[1].Match.Headers = []table.ValueMatch{{Name: "x-env", Value: "test"}}
		}
		l.Hosts = append(l.Hosts, h)
	}
	return l
}

// cases are requests against small and large tables.
func cases(t testing.TB) map[string]func() {
	out := map[string]func(){}
	add := func(name string, r *Router, host, path string) {
		x := get(host, path)
		x.Request.Header = exchange.Header{{Name: "Accept", Value: "*/*"}, {Name: "User-Agent", Value: "x"}, {Name: "X-Env", Value: "test"}}
		if a, _ := r.Match(x); a == nil {
			t.Fatalf("%s: no route", name)
		}
		out[name] = func() {
			x.Request.Path = path
			r.Match(x)
			x.Arena.Reset()
		}
	}
	small, large := build(t, shop(2)), build(t, shop(2000))
	add("10 rules, prefix", small, "h1.example.com", "/api/v1/items/17")
	add("10000 rules, exact", large, "h1999.example.com", "/healthz")
	add("10000 rules, prefix", large, "h1999.example.com", "/api/v1/items/17")
	add("10000 rules, last prefix", large, "h1999.example.com", "/a/long/path/with/many/elements")
	add("10000 rules, regex", large, "h1990.example.com", "/api/v1/orders/4711")
	add("10000 rules, header", large, "h1990.example.com", "/api/v2/orders")
	return out
}

func BenchmarkMatch(b *testing.B) {
	for name, step := range cases(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	o, l := owners(b), shop(2000)
	prev, err := Build(&table.Table{Listeners: []*table.Listener{l}}, nil, o)
	if err != nil {
		b.Fatal(err)
	}
	changed := *l
	changed.Hosts = append([]*table.Host{on("new.example.com", prefix("/"))}, l.Hosts[1:]...)
	for name, from := range map[string]*Router{"all": nil, "one host": prev} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Build(&table.Table{Listeners: []*table.Listener{&changed}}, from, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for name, step := range cases(t) {
		if n := testing.AllocsPerRun(100, step); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
