package introspect

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

const token = "eyJhbGciOiJub25lIn0.2YotnFZFEjr1zCsicMWpAA2YotnFZFEjr1zCsicMWpAA2YotnFZFEjr1zCsicMWpAA2YotnFZFEjr1zCsicMWpAA"

func TestKeptAnswerDoesNotAllocate(t *testing.T) {
	s, x := newStage(t, nil), request(token)
	var p exchange.Principal
	if r := s.Authenticate(x, &p); r.Outcome != auth.Accepted {
		t.Fatalf("%+v", r)
	}
	if n := testing.AllocsPerRun(100, func() { s.Authenticate(x, &p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMethod(b *testing.B) {
	s, x := newStage(b, nil), request(token)
	var p exchange.Principal
	s.Authenticate(x, &p)
	b.Run("introspection/cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r := s.Authenticate(x, &p); r.Outcome != auth.Accepted {
				b.Fatal("refused")
			}
		}
	})
	b.Run("introspection/asked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := s.server.ask(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
