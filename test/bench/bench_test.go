package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

func TestSchedstat(t *testing.T) {
	is := func(text string, want time.Duration, good bool) {
		t.Helper()
		if got, err := schedstat([]byte(text)); got != want || (err == nil) != good {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	is("1500 20 3\n", 1500, true)
	is("1500 20\n", 0, false)
	is("x 20 3\n", 0, false)
	is("", 0, false)
}

func TestPss(t *testing.T) {
	is := func(text string, want int64, good bool) {
		t.Helper()
		if got, err := pss([]byte(text)); got != want || (err == nil) != good {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	is("00400000-7fff [rollup]\nRss:  20 kB\nPss:   12 kB\nPss_Anon: 8 kB\n", 12<<10, true)
	is("Rss:  20 kB\n", 0, false)
}

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

func TestParseTotals(t *testing.T) {
	is := func(out string, want int64, good bool) {
		t.Helper()
		got, err := parseTotals([]byte(out))
		if (err == nil) != good || good && got.Requests != want {
			t.Errorf("%q: got %v, %v", out, got, err)
		}
	}
	is("Running 3s test\n{\"requests\":7,\"microseconds\":3,\"refused\":0,\"broken\":0,\"p50\":1,\"p99\":2}\n", 7, true)
	is(`{"requests":7,"microseconds":3,"refused":1,"broken":0}`, 0, false)
	is(`{"requests":7,"microseconds":3,"refused":0,"broken":1}`, 0, false)
	is(`{"requests":0,"microseconds":3,"refused":0,"broken":0}`, 0, false)
	is("unable to connect", 0, false)
	is("", 0, false)
}

func TestQuantile(t *testing.T) {
	is := func(values []int, q float64, want int) {
		t.Helper()
		if got := quantile(values, q); got != want {
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

func TestTestResults(t *testing.T) {
	tests, failed := testResults([]byte(`
		{"Action":"run","Package":"m/proxy/wire","Test":"TestA"}
		{"Action":"pass","Package":"m/proxy/wire","Test":"TestA"}
		{"Action":"pass","Package":"m/proxy/wire"}
		{"Action":"fail","Package":"m/proxy/match","Test":"TestB"}
		{"Action":"fail","Package":"m/proxy/match"}`))
	if !slices.Equal(tests, []Test{{"proxy/wire", "TestA", true}, {"proxy/match", "TestB", false}}) {
		t.Errorf("got tests %v", tests)
	}
	if !slices.Equal(failed, []string{"proxy/match TestB", "proxy/match"}) {
		t.Errorf("got failures %q", failed)
	}
}

// The name says 700 B.
func TestVariants(t *testing.T) {
	if n := headerBytes(variants()[1].headers); n < 680 || n > 720 {
		t.Errorf("the headers take %d B", n)
	}
}

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
	is(gatewayManifest(8080, []int{1, 2}), 7)
	is(splitManifest(), 1)
	is(routeManifest("a", host, "/a"), 1)
	files := manyRoutes(205)
	is(files["routes-000.yaml"], 100)
	is(files["routes-002.yaml"], 5)
	if len(files) != 3 {
		t.Errorf("got %d files, want 3", len(files))
	}
	if _, err := parse(reader, "kind: Nothing"); err == nil {
		t.Error("nonsense was taken")
	}
}
