package upstream

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// Enter asks for a request to be let on to the backend, and waits for that as
// Config.Admission says, until ctx ends; nil: the client is sure to stay. Who is
// let on must Leave.
func (b *Backend) Enter(ctx context.Context) *exchange.Error {
	if b.gate.Wait(ctx) {
		return nil
	}
	return errOverloaded
}

// Leave ends a request that was let on.
func (b *Backend) Leave() { b.gate.Leave() }

// Each calls f with how busy every backend is.
func (s *Set) Each(f func(id string, l telemetry.Load)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range s.backends {
		at := b.gate.Figures()
		l := telemetry.Load{Limit: at.Limit, Waiting: at.Waiting, Refused: at.Refused + b.full.Load()}
		m := b.members.Load()
		for _, list := range [][]*Endpoint{m.live, m.draining} {
			for _, e := range list {
				l.InFlight += int(e.busy.Load())
				l.Connections += int(e.open.Load()) + e.streams.Load().Connections()
			}
		}
		f(id, l)
	}
}
