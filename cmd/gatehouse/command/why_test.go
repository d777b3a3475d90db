package command

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/decision"
)

func TestSubjectIsPlain(t *testing.T) {
	var out strings.Builder
	if err := printDecision(&out, &decision.Record{Caller: decision.Caller{Method: "staff", Subject: "ann\x1b[2J\u009b1m\nforged"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\u009b") || strings.Contains(got, "\nforged") {
		t.Errorf("%q", got)
	}
}

// TestNobodyIsAsked: what asks nobody, or something else than a gateway, says so, and does not look as if there was nothing to tell.
func TestNobodyIsAsked(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer other.Close()
	for _, command := range [][]string{{"why"}, {"why", "9f0c6a1d2b3e4f50"}, {"exposure"}, {"explain", "GET", "http://localhost/"}} {
		for address, want := range map[string]string{"": "no gateway is named", other.URL: "--admin-address"} {
			out, _, err := run(t, append(command, "--admin-address", address)...)
			if err == nil || !strings.Contains(err.Error(), want) || out != "" {
				t.Errorf("%v at %q: %v, want %q; it prints %q", command, address, err, want, out)
			}
		}
	}
}

// TestDecisionsOfReplicas: those of all replicas stand in one order, and one that does not answer hides no other.
func TestDecisionsOfReplicas(t *testing.T) {
	replica := func(answer string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	at := func(id string, second int) string {
		return fmt.Sprintf(`{"id":%q,"time":%q}`, id, time.Unix(int64(second), 0).UTC().Format(time.RFC3339))
	}
	one := replica("[" + at("fourth", 4) + "," + at("first", 1) + "]")
	two := replica("[" + at("third", 3) + "," + at("second", 2) + "]")
	for _, output := range []string{"text", "json"} {
		for broken, addresses := range map[bool][]string{false: {one, two}, true: {one, replica("<html>"), two}} {
			out, _, err := run(t, "why", "--output", output, "--admin-address", strings.Join(addresses, ","))
			var order []int
			for _, id := range []string{"fourth", "third", "second", "first"} {
				order = append(order, strings.Index(out, id))
			}
			if order[0] < 0 || !slices.IsSorted(order) || (err != nil) != broken {
				t.Errorf("%s, broken %v: %v; it prints %q", output, broken, err, out)
			}
		}
	}
}
