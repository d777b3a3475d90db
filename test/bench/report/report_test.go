package report

import (
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	is := func(values []int, q float64, want int) {
		t.Helper()
		if got := Quantile(values, q); got != want {
			t.Errorf("%v of %v: got %v, want %v", q, values, got, want)
		}
	}
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	is([]int{7}, 0.5, 7)
	is([]int{7}, 0.99, 7)
	is([]int{1, 2, 3, 4, 5}, 0.5, 3)
	is([]int{1, 2, 3, 4}, 0.5, 2)
	is(hundred, 0.5, 50)
	is(hundred, 0.99, 99)
}

func contender(name string, cpu ...float64) Contender {
	c := Contender{Name: name}
	for _, v := range cpu {
		c.Runs = append(c.Runs, Run{CPU: v, P99: int64(10 * v), Memory: v})
	}
	return c
}

func TestSpread(t *testing.T) {
	is := func(want Spread, cpu ...float64) {
		t.Helper()
		if got := contender("a", cpu...).Spread(CPU); got != want {
			t.Errorf("%v: got %v, want %v", cpu, got, want)
		}
	}
	is(Spread{1, 2, 9}, 9, 1, 2)
	is(Spread{1, 3, 9}, 9, 1, 2, 4)
	is(Spread{}, []float64{}...)
}

func TestOutcome(t *testing.T) {
	is := func(g Goal, want Outcome, ok bool, contenders ...Contender) {
		t.Helper()
		got, gotOK := Scenario{Goal: g, Contenders: contenders}.Outcome()
		if gotOK != ok || ok && got != want {
			t.Errorf("got %+v, %v; want %+v", got, gotOK, want)
		}
	}
	both := []string{"nginx", "haproxy"}
	ours := contender("gatehouse", 8, 8, 8)
	is(Goal{Ratio: 0.85, To: both}, Outcome{"0.80 x haproxy", "<= 0.85", true}, true, ours, contender("nginx", 12), contender("haproxy", 10), contender("caddy", 1))
	is(Goal{Ratio: 0.75, To: both}, Outcome{"0.80 x nginx", "<= 0.75", false}, true, ours, contender("nginx", 10), contender("haproxy"))
	is(Goal{Ratio: 0.75, To: both}, Outcome{}, false, ours, contender("caddy", 10))
	is(Goal{Added: 1, To: []string{"b", "c"}}, Outcome{"+2.00 us at most, c", "<= +1.0 us", false}, true, ours, contender("b", 8.5), contender("c", 10), contender("d", 12))
	// Whatever a run costs, each has 0.5 more in it; the medians differ by 10.
	is(Goal{Added: 1, To: []string{"b"}}, Outcome{"+0.50 us at most, b", "<= +1.0 us", true}, true, contender("gatehouse", 8, 9, 30), contender("b", 8.5, 19, 30.5))
	is(Goal{Ratio: 1.1, Second: true}, Outcome{"1.00 x gatehouse", "<= 1.10", true}, true, ours, contender("b", 8))
	is(Goal{Ratio: 1.5, P99: true}, Outcome{"p99 2.00 x gatehouse", "<= 1.50", false}, true, ours, contender("b", 16))
	is(Goal{Memory: 50, To: both}, Outcome{"+6 MiB to nginx", "<= +50 MiB", true}, true, ours, contender("nginx", 2))
	is(Goal{}, Outcome{}, false, ours)
	is(Goal{Ratio: 1, To: both}, Outcome{}, false)
}

func sample() *Report {
	return &Report{
		Date: "2026-01-02", Versions: map[string]string{"gatehouse": "v1", "nginx": "1.22"}, Missing: map[string]string{"envoy": "no wheel."},
		Scenarios: []Scenario{{
			Name: "http1", Title: "A <title>", Unit: "request", Load: "A load.", Goal: Goal{Ratio: 0.85, To: []string{"nginx"}},
			Contenders: []Contender{contender("gatehouse", 8, 9, 7), contender("nginx", 10, 11, 9), contender("haproxy")},
		}},
	}
}

func TestMarkdown(t *testing.T) {
	page, err := replaceFigures("before\n"+begin+"\nold\n"+end+"\nafter\n", sample().markdown())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + begin, end + "\nafter\n", "gatehouse v1, nginx 1.22", "envoy is left out: no wheel.",
		"| A <title> | 8.0 | 10.0 | 0.80 x nginx | <= 0.85 | yes |",
		"| nginx | 10.00 [9.00-11.00] | 0.80 |", "![HTTP/1.1: CPU per request, microseconds](benchmarks/http1.svg)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	if strings.Contains(page, "old") || strings.Contains(page, "| haproxy |") {
		t.Errorf("got\n%s", page)
	}
	if _, err := replaceFigures("no marks", ""); err == nil {
		t.Error("a page without marks was taken")
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := sample().Text(&b); err != nil || !strings.Contains(b.String(), "8.00 [7.00-9.00]") {
		t.Errorf("%v, %s", err, b.String())
	}
}

func TestPlots(t *testing.T) {
	plots := sample().plots()
	if len(plots) != 1 {
		t.Fatalf("got %d plots", len(plots))
	}
	d := xml.NewDecoder(strings.NewReader(plots["http1.svg"]))
	bars := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 2 {
		t.Errorf("got %d bars, want one for each contender that ran", bars)
	}
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bin", "bench.json")
	r := sample()
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || !reflect.DeepEqual(got.Scenarios[0].Contenders[0], r.Scenarios[0].Contenders[0]) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestPut(t *testing.T) {
	r := sample()
	r.Put(Scenario{Name: "http1", Title: "new"})
	r.Put(Scenario{Name: "tls"})
	if len(r.Scenarios) != 2 || r.Scenarios[0].Title != "new" {
		t.Errorf("got %+v", r.Scenarios)
	}
}
