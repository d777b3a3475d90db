package router

import (
	"cmp"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/match"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// oracle finds x's action by trying every rule of the table in order.
func oracle(t *table.Table, x *exchange.Exchange) *table.Action {
	var best *table.Listener
	for _, l := range t.Listeners {
		if l.Port == x.Conn.Local.Port() && takesHost(l.Hostname, x.Request.Host) && (best == nil || compareHosts(l.Hostname, best.Hostname) < 0) {
			best = l
		}
	}
	if best == nil {
		return nil
	}
	type candidate struct {
		host *table.Host
		rule *table.Rule
	}
	var all []candidate
	for _, h := range best.Hosts {
		for _, r := range h.Rules {
			if takesHost(h.Name, x.Request.Host) {
				all = append(all, candidate{h, r})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(compareHosts(a.host.Name, b.host.Name), match.Compare(&a.rule.Match, &b.rule.Match))
	})
	for _, c := range all {
		if takes(&c.rule.Match, x) {
			return c.rule.Action
		}
	}
	return nil
}

// takesHost reports whether pattern takes host. Both are lower case.
func takesHost(pattern, host string) bool {
	if suffix, ok := match.Wildcard(pattern); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix) && host[0] != '.'
	}
	return match.Any(pattern) || pattern == host
}

// compareHosts orders patterns, the more specific first: names, then wildcards
// with longer ones first, then any.
func compareHosts(a, b string) int {
	rank := func(pattern string) int {
		if match.Any(pattern) {
			return 2
		}
		if _, ok := match.Wildcard(pattern); ok {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}

func takes(m *table.Match, x *exchange.Exchange) bool {
	switch m.Path.Kind {
	case table.PathExact:
		if x.Request.Path != m.Path.Value {
			return false
		}
	case table.PathPrefix:
		if !match.HasPrefix(x.Request.Path, match.Prefix(m.Path.Value)) {
			return false
		}
	case table.PathRegex:
		if ok, err := regexp.MatchString(`\A(?:`+m.Path.Value+`)\z`, x.Request.Path); err != nil || !ok {
			return false
		}
	}
	c, err := match.NewConditions(m)
	return err == nil && c.Match(x)
}

// chance makes tables and requests from few names, so that they often meet.
type chance struct{ *rand.Rand }

func (c chance) of(from ...string) string { return from[c.IntN(len(from))] }

func (c chance) path() string {
	p := ""
	for range c.IntN(4) {
		p += "/" + c.of("a", "b", "ab", "")
	}
	return cmp.Or(p, "/")
}

func (c chance) values() (out []table.ValueMatch) {
	for _, name := range []string{"x", "y"} {
		if c.IntN(3) == 0 {
			out = append(out, table.ValueMatch{Name: name, Kind: table.ValueKind(c.IntN(2)), Value: c.of("1", "2", "1|2")})
		}
	}
	return out
}

func (c chance) rule() *table.Rule {
	m := table.Match{Path: table.PathMatch{Kind: table.PathKind(c.IntN(3)), Value: c.path()}, Headers: c.values(), Query: c.values()}
	if m.Path.Kind == table.PathRegex {
		m.Path.Value = c.of("/a.*", "/[ab]", "/a|/b", ".*", "/a/?b?")
	}
	if c.IntN(4) == 0 {
		m.Method = c.of("GET", "POST")
	}
	return &table.Rule{Match: m, Action: &table.Action{Route: "r"}}
}

func (c chance) table() *table.Table {
	t := &table.Table{}
	for _, hostname := range []string{"", "a.b.c", "*.c", "*.b.c"} {
		if c.IntN(2) == 0 {
			continue
		}
		l := &table.Listener{ID: hostname, Port: 80, Hostname: hostname}
		for _, name := range []string{"*", "a.b.c", "*.c", "*.b.c", "b.c"} {
			h := &table.Host{Name: name}
			for range c.IntN(8) {
				h.Rules = append(h.Rules, c.rule())
			}
			l.Hosts = append(l.Hosts, h)
		}
		t.Listeners = append(t.Listeners, l)
	}
	return t
}

func (c chance) request() *exchange.Exchange {
	x := get(c.of("a.b.c", "b.c", "x.b.c", "y.x.b.c", "c", "d", ""), c.path())
	x.Request.Method = c.of("GET", "POST", "PUT")
	x.Request.RawQuery = c.of("", "x=1", "x=2&y=1", "y=%31&x=1", "x")
	for range c.IntN(3) {
		x.Request.Header.Add(c.of("X", "y"), c.of("1", "2"))
	}
	return x
}

// The index finds what a scan of all rules finds.
func TestMatchIsTheScan(t *testing.T) {
	o := owners(t)
	hits := 0
	for seed := range uint64(200) {
		c := chance{rand.New(rand.NewPCG(seed, 1))}
		tt := c.table()
		r, err := Build(tt, nil, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			x := c.request()
			want := oracle(tt, x)
			got, _ := r.Match(x)
			if (got == nil) != (want == nil) || got != nil && got.Table != want {
				t.Fatalf("seed %d: %s %s%s?%s %v: got %+v, want %+v", seed, x.Request.Method, x.Request.Host, x.Request.Path, x.Request.RawQuery,
					x.Request.Header, got, want)
			}
			if got != nil {
				hits++
			}
		}
	}
	if hits < 2000 {
		t.Errorf("only %d of 10000 requests met a rule", hits)
	}
}
