package router

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func owners(t testing.TB) Owners {
	g, err := guard.New(guard.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	return Owners{Upstreams: upstream.New(upstream.Config{}), Guard: g, Env: env, Metrics: telemetry.New("test", telemetry.Sources{}), GiveWay: func() {}}
}

func build(t testing.TB, listeners ...*table.Listener) *Router {
	t.Helper()
	r, err := Build(&table.Table{Listeners: listeners}, nil, owners(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at is a listener for hostname on port 80 with those hosts.
func at(hostname string, hosts ...*table.Host) *table.Listener {
	return &table.Listener{ID: "ns/gw/" + hostname, Port: 80, Protocol: table.HTTP, Hostname: hostname, Hosts: hosts}
}

func on(name string, rules ...*table.Rule) *table.Host {
	return &table.Host{Name: name, Rules: rules}
}

func lead(name string, kind table.PathKind, path string) *table.Rule {
	return &table.Rule{Match: table.Match{Path: table.PathMatch{Kind: kind, Value: path}}, Action: &table.Action{Route: name}}
}

func exact(path string) *table.Rule  { return lead("exact "+path, table.PathExact, path) }
func regex(path string) *table.Rule  { return lead("regex "+path, table.PathRegex, path) }
func prefix(path string) *table.Rule { return lead("prefix "+path, table.PathPrefix, path) }

// named takes every path.
func named(name string) *table.Rule { return lead(name, table.PathPrefix, "/") }

// get is a request for host and path on port 80.
func get(host, path string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{Local: netip.MustParseAddrPort("192.0.2.1:80")}}
	x.Request = exchange.Request{Method: "GET", Authority: host, Host: host, Path: path}
	return x
}

// found names what Match finds.
func found(r *Router, x *exchange.Exchange) string {
	a, _ := r.Match(x)
	switch {
	case a == nil:
		return "-"
	case a.Table.Reply != nil:
		return a.Table.Reply.Code
	}
	return a.Table.Route
}

func TestPathsInTheirOrder(t *testing.T) {
	r := build(t, at("", on("*", prefix("/"), prefix("/a"), prefix("/a/b/"), exact("/a/b"), exact("/x/y"), regex("/r/[0-9]+"), regex("/x/.*"), prefix("/%61/%63"))))
	is := func(path, want string) {
		t.Helper()
		if got := found(r, get("h", path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	is("/", "prefix /")
	is("/b", "prefix /")
	is("/ab", "prefix /")
	is("/a", "prefix /a")
	is("/a/", "prefix /a")
	is("/a//b", "prefix /a")
	is("/a/b", "exact /a/b")
	is("/a/b/", "prefix /a/b/")
	is("/a/b/c/d", "prefix /a/b/")
	is("/a/bc", "prefix /a")
	is("/a/c", "prefix /%61/%63")
	is("/r/12", "regex /r/[0-9]+")
	is("/r/12/", "prefix /")
	is("/q/r/12", "prefix /")
	is("/x/y", "exact /x/y")
	is("/x/z", "regex /x/.*")
	is("*", "-")

	is("/z/../a", "prefix /a")
	is("/z/%2e%2e/%61/b", "exact /a/b")
	is("/a%2Fb", "prefix /")
	is("/a/..;/x", "bad_path")
	is("/%", "bad_path")
}

func TestThePathIsForwardedAsMatched(t *testing.T) {
	r := build(t, at("", on("*", prefix("/"))))
	x := get("h", "/a/../%61dmin/%2f")
	r.Match(x)
	if x.Request.Path != "/admin/%2F" || x.Request.Sent != "/a/../%61dmin/%2f" {
		t.Errorf("path is %s, was %s", x.Request.Path, x.Request.Sent)
	}
	x.Request.Path = "/b"
	if r.Match(x); x.Request.Path != "/b" || x.Request.Sent != "" {
		t.Errorf("path is %s, was %s", x.Request.Path, x.Request.Sent)
	}
}

func TestHostsFromTheMostSpecific(t *testing.T) {
	only := func(name, path string) *table.Rule { return lead(name, table.PathPrefix, path) }
	r := build(t, at("",
		on("*", named("any")),
		on("*.example", only("wild", "/w"), only("wild", "/both")),
		on("*.b.example", only("wilder", "/wilder"), only("wilder", "/both")),
		on("a.b.example", only("name", "/name"))))
	is := func(host, path, want string) {
		t.Helper()
		if got := found(r, get(host, path)); got != want {
			t.Errorf("%s%s: %s, want %s", host, path, got, want)
		}
	}
	is("a.b.example", "/name", "name")
	is("a.b.example", "/both", "wilder")
	is("a.b.example", "/wilder", "wilder")
	is("a.b.example", "/w", "wild")
	is("a.b.example", "/", "any")
	is("c.b.example", "/both", "wilder")
	is("d.c.b.example", "/both", "wilder")
	is("b.example", "/both", "wild")
	is("b.example", "/wilder", "any")
	is("example", "/both", "any")
	is(".example", "/both", "any")
	is("", "/", "any")
	is("other", "/name", "any")
}

func TestListenersAreIsolated(t *testing.T) {
	r := build(t,
		at("", on("*", named("any"))),
		at("*.example", on("*.example", named("wild"))),
		at("a.example", on("a.example", lead("name", table.PathPrefix, "/name"))),
		&table.Listener{ID: "twin", Port: 80, Hostname: "a.example", Hosts: []*table.Host{on("a.example", lead("twin", table.PathPrefix, "/"))}},
		&table.Listener{ID: "other port", Port: 81, Hosts: []*table.Host{on("*", named("81"))}},
		&table.Listener{ID: "one address", Address: "192.0.2.9", Port: 80, Hostname: "*.example", Hosts: []*table.Host{on("*.example", named("address"))}})
	is := func(local, host, path, want, listener string) {
		t.Helper()
		x := get(host, path)
		x.Conn.Local = netip.MustParseAddrPort(local)
		a, l := r.Match(x)
		id := ""
		if l != nil {
			id = l.Table.ID
		}
		if got := found(r, x); got != want || id != listener || (a == nil) != (want == "-") {
			t.Errorf("%s %s%s: %s by %s, want %s by %s", local, host, path, got, id, want, listener)
		}
	}
	is("192.0.2.1:80", "a.example", "/name", "name", "ns/gw/a.example")
	is("192.0.2.1:80", "a.example", "/", "twin", "twin")
	is("192.0.2.1:80", "b.example", "/", "wild", "ns/gw/*.example")
	is("192.0.2.1:80", "b.other", "/", "any", "ns/gw/")
	is("192.0.2.1:81", "a.example", "/name", "81", "other port")
	is("192.0.2.1:82", "a.example", "/name", "-", "")
	is("192.0.2.9:80", "b.example", "/", "address", "one address")
	is("[::ffff:192.0.2.9]:80", "b.example", "/", "address", "one address")
	is("192.0.2.9:80", "b.other", "/", "any", "ns/gw/")
	is("192.0.2.9:81", "b.other", "/", "81", "other port")
}

func TestListenersOfOnePortOnTwoTargets(t *testing.T) {
	on := func(id string, target uint16, address string) *table.Listener {
		return &table.Listener{ID: id, Address: address, Port: 80, Target: target, Hosts: []*table.Host{on("*", named(id))}}
	}
	r := build(t, on("one", 20001, ""), on("two", 20002, ""), on("three", 20003, "192.0.2.9"), on("plain", 0, ""))
	is := func(target uint16, want string) {
		t.Helper()
		x := get("a.example", "/")
		x.Conn.Local, x.Conn.Target = netip.MustParseAddrPort("192.0.2.9:80"), target
		if got := found(r, x); got != want {
			t.Errorf("target %d: %s, want %s", target, got, want)
		}
	}
	is(20001, "one")
	is(20002, "two")
	is(20003, "three")
	is(20004, "-")
	is(0, "plain")
}

func TestNoListenerForTheHost(t *testing.T) {
	r := build(t, at("a.example", on("a.example", lead("a", table.PathPrefix, "/a"))))
	if a, l := r.Match(get("b.example", "/a")); a != nil || l != nil {
		t.Errorf("%v, %v", a, l)
	}
	if a, l := r.Match(get("a.example", "/b")); a != nil || l == nil {
		t.Errorf("%v, %v", a, l)
	}
}

func TestHostMustBelongToTheServerName(t *testing.T) {
	r := build(t,
		at("*.example", on("*.example", named("wild"))),
		at("a.example", on("a.example", named("name"))),
		at("b.other", on("b.other", named("other"))))
	is := func(sni, host, want string) {
		t.Helper()
		x := get(host, "/")
		x.Conn.TLS, x.Conn.SNI = true, sni
		if got := found(r, x); got != want {
			t.Errorf("%s over %s: %s, want %s", host, sni, got, want)
		}
	}
	is("a.example", "a.example", "name")
	is("c.example", "c.example", "wild")
	is("c.example", "d.example", "wild")
	is("c.example", "a.example", "misdirected_request")
	is("a.example", "c.example", "misdirected_request")
	is("a.example", "b.other", "misdirected_request")
	is("", "a.example", "misdirected_request")
	is("a.example", "nobody", "-")
	is("nobody", "nobody", "-")
}

// A connection whose client the listener of a request does not admit is not for it.
func TestClientsOfAListener(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		l := at("", on("*", named("all")))
		l.Clients = &table.ClientCAs{CAs: []byte("-"), Insecure: insecure}
		r := build(t, l)
		client := func(good bool) *exchange.Client {
			c := &exchange.Client{}
			c.Judge(&exchange.Judgement{By: table.Sum(l.Clients), OK: good})
			return c
		}
		for name, c := range map[string]*exchange.Client{"none": nil, "good": client(true), "bad": client(false)} {
			x := get("h", "/")
			x.Conn.Client, x.Vouched = c, true
			want := "misdirected_request"
			if name == "good" || insecure {
				want = "all"
			}
			if got := found(r, x); got != want || got == "all" && x.Vouched != (name == "good") {
				t.Errorf("insecure %v, %s: %s, vouched for: %v", insecure, name, got, x.Vouched)
			}
		}
	}
}

func TestPick(t *testing.T) {
	picks := func(want string, weights ...uint32) {
		t.Helper()
		action := &table.Action{}
		for i, w := range weights {
			action.Backends = append(action.Backends, table.WeightedBackend{Backend: string(rune('a' + i)), Weight: w})
		}
		r := build(t, at("", on("*", &table.Rule{Match: prefix("/").Match, Action: action})))
		a, _ := r.Match(get("h", "/"))
		got := ""
		for i := range uint64(8) {
			b := a.Pick(uint32(i << 29))
			if b == nil {
				got += "-"
				continue
			}
			for k := range a.Backends {
				if b == &a.Backends[k] {
					got += string(rune('a' + k))
				}
			}
		}
		if got != want {
			t.Errorf("weights %v: %s, want %s", weights, got, want)
		}
		if last := a.Pick(1<<32 - 1); (last == nil) != (want == "--------") {
			t.Errorf("weights %v: the last value picks %v", weights, last)
		}
	}
	picks("--------")
	picks("--------", 0, 0)
	picks("aaaaaaaa", 1)
	picks("bbbbbbbb", 0, 7)
	picks("aaaabbbb", 1, 1)
	picks("aabbbbbb", 10, 0+30)
	picks("aaaabbcc", 2_000_000_000, 1_000_000_000, 1_000_000_000)
}

func TestPartsAreReused(t *testing.T) {
	o := owners(t)
	same, gone := on("a.example", prefix("/")), on("b.example", prefix("/b"))
	next := func(prev *Router, hosts ...*table.Host) *Router {
		t.Helper()
		r, err := Build(&table.Table{Listeners: []*table.Listener{at("", hosts...)}}, prev, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	shared := on("c.example", same.Rules...)
	first := next(nil, same, gone)
	second := next(first, same, shared)
	third := next(second, same, shared)
	for _, r := range []*Router{second, third} {
		if r.hosts[same] != first.hosts[same] || r.actions[same.Rules[0].Action] != first.actions[same.Rules[0].Action] {
			t.Error("an unchanged host or action was built again")
		}
		if r.hosts[gone] != nil || r.actions[gone.Rules[0].Action] != nil {
			t.Error("a host that is gone was kept")
		}
	}
	if a, _ := second.Match(get("c.example", "/")); a != first.actions[same.Rules[0].Action] {
		t.Error("an action that a new host shares was built again")
	}
	if third.hosts[shared] != second.hosts[shared] {
		t.Error("an unchanged host was built again")
	}
}

// A policy must not outlive the keys it verifies with, whoever forgot to make it anew.
func TestChangedKeysAreNotReused(t *testing.T) {
	o := owners(t)
	auth := &table.Auth{Sources: []table.Source{{Policy: "p"}}, Methods: []table.AuthMethod{
		{Name: "m", JWT: &table.JWT{Issuer: "i", Algorithms: []string{"ES256"}, KeySet: "keys"}},
	}}
	guarded, shadowed, open := prefix("/guarded"), prefix("/shadowed"), prefix("/open")
	guarded.Action.Auth, shadowed.Action.ShadowAuth = auth, auth
	hosts := []*table.Host{on("a", guarded), on("b", shadowed), on("c", open)}
	next := func(prev *Router, keys table.KeySet) *Router {
		t.Helper()
		keys.ID = "keys"
		tt := &table.Table{Listeners: []*table.Listener{at("", hosts...)}, KeySets: []*table.KeySet{&keys}}
		o.Guard.SetKeySets(tt.KeySets)
		r, err := Build(tt, prev, o)
		if err != nil {
			t.Fatal(err)
		}
		if problems := r.Problems(); len(problems) > 0 {
			t.Fatal(problems)
		}
		return r
	}
	shared := func(text string) table.KeySet {
		return table.KeySet{Shared: []table.SharedKey{{ID: "k", Secret: table.Secret(strings.Repeat(text, 32))}}}
	}
	for _, keys := range [][2]table.KeySet{
		{{Inline: []byte(`{"keys":[]}`)}, {Inline: []byte(`{"keys": []}`)}},
		{shared("a"), shared("b")},
		{{Backend: "idp/keys:80", Path: "/a"}, {Backend: "idp/keys:80", Path: "/b"}},
	} {
		first := next(nil, keys[0])
		same := next(first, keys[0])
		changed := next(same, keys[1])
		for i, h := range hosts {
			a := h.Rules[0].Action
			if same.actions[a] != first.actions[a] || same.hosts[h] != first.hosts[h] {
				t.Errorf("host %s was built again for the same keys", h.Name)
			}
			if kept := changed.actions[a] == first.actions[a] || changed.hosts[h] == first.hosts[h]; kept != (i == 2) {
				t.Errorf("host %s: kept for other keys than %v is %v", h.Name, keys[0], kept)
			}
		}
	}
}

func TestWhatCannotBeBuiltCloses(t *testing.T) {
	bad := prefix("/bad")
	bad.Action.Filters = []table.Filter{{}}
	watched := prefix("/watched")
	watched.Action.ShadowAuth = &table.Auth{Rules: []table.AuthRule{{Name: "x", CEL: "no such thing("}}, Sources: []table.Source{{Policy: "p"}}}
	closed := prefix("/closed")
	closed.Action.Auth = watched.Action.ShadowAuth
	weighted := prefix("/weighted")
	weighted.Action.Backends = []table.WeightedBackend{{Backend: "b", Weight: 1, Filters: []table.Filter{{}}}}
	r := build(t, at("", on("*", bad, watched, closed, weighted)))
	is := func(path, want string) {
		t.Helper()
		if got := found(r, get("h", path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	is("/bad", "rule_unusable")
	is("/closed", "rule_unusable")
	is("/weighted", "rule_unusable")
	is("/watched", "prefix /watched")
	if n := len(r.Problems()); n != 4 {
		t.Errorf("%d problems: %v", n, r.Problems())
	}
}

func TestUnusableTables(t *testing.T) {
	refused := func(l *table.Listener) {
		t.Helper()
		if r, err := Build(&table.Table{Listeners: []*table.Listener{l}}, nil, owners(t)); err == nil {
			t.Errorf("%+v gives %v", l, r)
		}
	}
	refused(at("", on("*", regex("("))))
	refused(at("", on("*", lead("kind", 9, "/"))))
	header := prefix("/")
	header.Match.Headers = []table.ValueMatch{{Name: "a", Kind: table.ValueRegex, Value: "("}}
	refused(at("", on("*", header)))
	refused(&table.Listener{Address: "no address", Port: 80})
}
