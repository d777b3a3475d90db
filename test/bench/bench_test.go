package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

func TestFindMetric(t *testing.T) {
	is := func(text string, want float64, good bool) {
		t.Helper()
		if got, err := findMetric(strings.NewReader(text), "a_total"); got != want || (err == nil) != good {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	is("# TYPE a_total counter\na_total_more 1\na_total 1.5e+06\nb 2\n", 1.5e6, true)
	is("b 2\n", 0, false)
}

func TestTestResults(t *testing.T) {
	tests, failed := testResults([]byte(`
		{"Action":"run","Package":"m/proxy/wire","Test":"TestA"}
		{"Action":"pass","Package":"m/proxy/wire","Test":"TestA"}
		{"Action":"pass","Package":"m/proxy/wire"}
		{"Action":"fail","Package":"m/proxy/match","Test":"TestB"}
		{"Action":"fail","Package":"m/proxy/match"}`))
	if !slices.Equal(tests, []report.Test{{Package: "proxy/wire", Name: "TestA", Passed: true}, {Package: "proxy/match", Name: "TestB"}}) {
		t.Errorf("got tests %v", tests)
	}
	if !slices.Equal(failed, []string{"proxy/match TestB", "proxy/match"}) {
		t.Errorf("got failures %q", failed)
	}
}

// The load says 700 B.
func TestTypical(t *testing.T) {
	n := 0
	for _, h := range typical() {
		n += len(h) + len("\r\n")
	}
	if n < 680 || n > 720 {
		t.Errorf("the headers take %d B", n)
	}
}

// Every manifest is one that gatehouse reads without fault.
func TestManifests(t *testing.T) {
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	is := func(text string, objects int) {
		t.Helper()
		got, err := parse(reader, text)
		if err != nil || len(got) != objects {
			t.Errorf("got %d objects, %v; want %d", len(got), err, objects)
		}
	}
	all, err := peer.Manifests(peer.Site{HTTP: 1, HTTPS: 2, TCP: 3, UDP: 4, Backends: peer.Backends{Site: 5, API: 6, GRPC: 7, TCP: 8, UDP: 9}})
	if err != nil {
		t.Fatal(err)
	}
	is(all["gatehouse.yaml"], 17)
	many, err := tenThousandRoutes()
	if err != nil || len(many) != 100 {
		t.Fatalf("%d files, %v", len(many), err)
	}
	is(many["routes-049.yaml"], 100)
	auth, err := guarded()[1].manifests()
	if err != nil {
		t.Fatal(err)
	}
	is(auth["policies.yaml"], 9)
	if _, err := parse(reader, "kind: Nothing"); err == nil {
		t.Error("nonsense was taken")
	}
}

func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		if s.name == "" || seen[s.name] || s.entries[0].peer != gatehouse || s.check == nil || s.unit == "" {
			t.Errorf("scenario %q is not whole", s.name)
		}
		seen[s.name] = true
	}
}

func TestEntries(t *testing.T) {
	is := func(b bench, s scenario, want ...string) {
		t.Helper()
		var got []string
		for _, e := range b.entries(s) {
			got = append(got, e.name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	s := scenario{entries: plain(gatehouse, nginx, haproxy)}
	is(bench{}, s, "gatehouse", "nginx", "haproxy")
	is(bench{options: options{peers: []string{"haproxy"}}}, s, "gatehouse", "haproxy")
	is(bench{options: options{peers: []string{"caddy"}, other: "/old"}}, s, "gatehouse", "other", "caddy")
	is(bench{options: options{peers: []string{"none"}, other: "/old"}}, scenario{entries: guarded()[:3]},
		"gatehouse", "other", "a key that nobody asks for", "other, a key that nobody asks for", "API key", "other, API key")
}
