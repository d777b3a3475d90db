package proxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/listener"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// readiness says whether the ports of the tables are there. Of a process that begins one
// may still be another's, which is about to end: it is ready when it has them all. Once it
// is ready it stays so: callers of all its other ports would go with the one that is
// missing. Nor does it wait for ever for one, which may be anybody's Gateway's that asks
// for what it cannot have; only without any port at all it is of no use to anybody.
type readiness struct {
	draining atomic.Bool
	lack     atomic.Pointer[error] // what is missing to be ready; nil: nothing

	// Guarded by Server.mu.
	began time.Time // with the first table
	had   bool      // all it takes
}

// patience is how long a process that begins waits for the last of its ports: as long as
// one before it may take to give them up, and more.
const patience = 30 * time.Second

// took learns what became of a table: of how many ports, and which listeners are without.
func (r *readiness) took(now time.Time, bound int, failed map[string]error) {
	if r.had {
		return
	}
	if r.began.IsZero() {
		r.began = now
	}
	var without []string
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		if _, unbound := errors.AsType[*listener.Unbound](failed[id]); unbound {
			without = append(without, id)
		}
	}
	if len(without) == 0 || bound > 0 && now.Sub(r.began) >= patience {
		r.had = true
		r.lack.Store(nil)
		return
	}
	err := fmt.Errorf("listeners without their ports: %s", strings.Join(without, ", "))
	r.lack.Store(&err)
}

// missing is what is missing to be ready. Any goroutine may call it.
func (r *readiness) missing() error {
	if err := r.lack.Load(); err != nil {
		return *err
	}
	return nil
}

// failing names the listeners that cannot serve, each with the reason.
func (s *Server) failing() (all []string) {
	a := s.Applied()
	for _, id := range slices.Sorted(maps.Keys(a.Listeners)) {
		all = append(all, fmt.Sprintf("listener %s: %s", id, a.Listeners[id]))
	}
	return all
}

// Unbound reports whether what is wrong with a listener is that it does not have its port.
func (a *Applied) Unbound(listenerID string) bool {
	_, unbound := errors.AsType[*listener.Unbound](a.Listeners[listenerID])
	return unbound
}

// tellFailed says which listeners of t cannot serve: in the log when that changes, and in
// the metrics.
func (s *Server) tellFailed(t *table.Table, failed map[string]error) {
	for id, err := range failed {
		if old := s.applied.Listeners[id]; old == nil || old.Error() != err.Error() {
			s.log.Error(err, "a listener cannot serve; it is tried again", "listener", id)
		}
	}
	for _, l := range t.Listeners {
		if s.applied.Listeners[l.ID] != nil && failed[l.ID] == nil {
			s.log.Info("a listener serves that could not", "listener", l.ID)
		}
		lacks, unbound := errors.AsType[*listener.Unbound](failed[l.ID])
		m := s.metrics.Listener(l)
		m.TCP.Set(l.Protocol != table.UDP, !unbound || lacks.UDP)
		m.UDP.Set(l.Protocol == table.UDP || l.Protocol == table.HTTPS && l.HTTP3 != 0, !unbound)
	}
	s.applied.Listeners = failed
}
