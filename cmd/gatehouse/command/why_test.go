package command

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
