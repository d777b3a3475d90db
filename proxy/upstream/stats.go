package upstream

// Each calls f with every backend's requests under way and open connections.
func (s *Set) Each(f func(id string, inFlight, connections int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range s.backends {
		m, inFlight, connections := b.members.Load(), 0, 0
		for _, list := range [][]*Endpoint{m.live, m.draining} {
			for _, e := range list {
				inFlight += int(e.busy.Load())
				connections += int(e.open.Load()) + e.streams.Load().Connections()
			}
		}
		f(id, inFlight, connections)
	}
}
