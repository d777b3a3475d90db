package stream

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func TestPick(t *testing.T) {
	backends := upstream.New(upstream.Config{})
	gone := &table.Reply{Status: 500, Code: "backend_not_found"}
	of := func(list ...table.WeightedBackend) *Route {
		return New(&table.Stream{Route: "TCPRoute shop/db", Backends: list}, backends, telemetry.New("test", telemetry.Sources{}))
	}
	expect := func(r *Route, random uint32, want string) {
		t.Helper()
		got := "none"
		if b := r.at(random); b != nil {
			got = b.ID()
		}
		if got != want {
			t.Errorf("%d picks %s, want %s", random, got, want)
		}
	}
	shared := of(
		table.WeightedBackend{Backend: "a", Weight: 1}, table.WeightedBackend{Backend: "off", Weight: 0},
		table.WeightedBackend{Weight: 1, Reply: gone}, table.WeightedBackend{Backend: "b", Weight: 2})
	expect(shared, 0, "a")
	expect(shared, 1<<30-1, "a")
	expect(shared, 1<<30, "none")
	expect(shared, 1<<31, "b")
	expect(shared, 1<<32-1, "b")
	expect(of(), 1<<31, "none")
	expect(of(table.WeightedBackend{Backend: "a"}), 0, "none")
	for id, want := range map[string]bool{"a": true, "off": false, "b": true, "other": false} {
		if got := shared.Uses(backends.Backend(id, "")); got != want {
			t.Errorf("uses %s: %v", id, got)
		}
	}
}
