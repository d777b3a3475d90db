package proxy

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/listener"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestReadiness(t *testing.T) {
	type step struct {
		after    time.Duration // since the first
		bound    int
		unbound  bool
		notReady bool
	}
	const soon, late = patience / 2, patience
	for name, steps := range map[string][]step{
		"all there":                         {{0, 2, false, false}, {soon, 1, true, false}, {late, 0, true, false}},
		"no listeners yet":                  {{0, 0, false, false}, {soon, 0, true, false}},
		"one comes a little later":          {{0, 1, true, true}, {soon, 2, false, false}, {late, 1, true, false}},
		"one never comes":                   {{0, 1, true, true}, {soon, 1, true, true}, {late, 1, true, false}, {2 * late, 0, true, false}},
		"none ever comes":                   {{0, 0, true, true}, {late, 0, true, true}, {10 * late, 0, true, true}},
		"none comes for long, then some do": {{0, 0, true, true}, {late, 0, true, true}, {2 * late, 1, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var r readiness
			start := time.Now()
			for i, at := range steps {
				failed := map[string]error{"ns/gw/other": errors.New("no certificate")}
				if at.unbound {
					failed["ns/gw/http"] = &listener.Unbound{Err: errors.New("taken")}
				}
				r.took(start.Add(at.after), at.bound, failed)
				if err := r.missing(); (err != nil) != at.notReady {
					t.Errorf("step %d: %v, want not ready = %v", i, err, at.notReady)
				}
			}
		})
	}
}

// What could not be bound is tried again without building the table again.
func TestRebind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	s, err := New(Options{Admin: "127.0.0.1:0", Bind: func(string, uint16) string { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.Swap(&table.Table{Listeners: []*table.Listener{{ID: "ns/gw/http", Port: 80, Protocol: table.HTTP}}}); err != nil {
		t.Fatal(err)
	}
	built, applied := s.state.Load().router, s.Applied()
	s.rebind()
	if now := s.Applied(); !now.Unbound("ns/gw/http") {
		t.Fatalf("%+v", now)
	}
	_ = taken.Close()
	s.rebind()
	now := s.state.Load()
	if len(now.ports) != 1 || now.router != built || len(s.Applied().Listeners) != 0 || s.Applied().Generation != applied.Generation {
		t.Errorf("%d ports, another router %v, %+v", len(now.ports), now.router != built, s.Applied())
	}
}
