package compile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// streamKey names a table.Stream across builds.
type streamKey struct {
	listener graph.ListenerKey
	route    graph.StreamKey
}

// compileStreams returns the streams of every listener. Where several routes want
// the same connections the oldest has them: all those of a TCP or UDP listener,
// those of one server name on a TLS listener (GEP-1364, Conflict resolution).
func (c *Compiler) compileStreams(g *graph.Graph) map[graph.ListenerKey][]*table.Stream {
	ends := endsOf(g)
	routes := slices.Clone(g.Streams)
	slices.SortStableFunc(routes, compareAge)
	out := map[graph.ListenerKey][]*table.Stream{}
	for _, r := range routes {
		for _, p := range r.Parents {
			for _, at := range p.Attached {
				hosts := unclaimed(at.Hostnames, out[at.Listener])
				if len(hosts) == 0 {
					continue
				}
				s := &table.Stream{Route: string(r.Kind) + " " + r.Name().String(), Terminate: ends[at.Listener], Backends: streamBackends(r, end{ends[at.Listener], c.clients[p.Gateway]})}
				if r.Kind == spec.KindTLSRoute {
					s.Hosts = hosts
				}
				out[at.Listener] = append(out[at.Listener], c.streams.Keep(streamKey{at.Listener, r.Key()}, s, sameStream))
			}
		}
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b *table.Stream) int { return compareHostnames(first(a.Hosts), first(b.Hosts)) })
	}
	return out
}

// endsOf says of which listeners TLS ends there.
func endsOf(g *graph.Graph) map[graph.ListenerKey]bool {
	ends := map[graph.ListenerKey]bool{}
	for _, gw := range g.Gateways {
		for _, l := range gw.Listeners {
			ends[l.Key] = spec.Terminates(l.Spec)
		}
	}
	return ends
}

func compareAge(a, b *graph.Stream) int {
	x, y := a.Object.GetCreationTimestamp(), b.Object.GetCreationTimestamp()
	return cmp.Or(x.Compare(y.Time), strings.Compare(a.Name().Namespace, b.Name().Namespace), strings.Compare(a.Name().Name, b.Name().Name))
}

// unclaimed are the hosts that no stream of the list has. A stream without hosts
// has everything.
func unclaimed(hosts []string, list []*table.Stream) (out []string) {
	for _, h := range hosts {
		if !slices.ContainsFunc(list, func(s *table.Stream) bool { return len(s.Hosts) == 0 || slices.Contains(s.Hosts, h) }) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, compareHostnames)
	return out
}

func first(hosts []string) string {
	if len(hosts) == 0 {
		return ""
	}
	return hosts[0]
}

// end is what becomes of a stream's TLS on a listener.
type end struct {
	here   bool         // it ends there; else it passes through, and is the client's own with the backend
	client graph.Client // what the Gateway shows to backends of TLS
}

// backend is b as the stream's connections reach it.
func (e end) backend(b *graph.Backend) *graph.Backend {
	if e.here || b.TLS == nil {
		return b
	}
	plain := *b
	plain.TLS = nil
	return &plain
}

func streamBackends(r *graph.Stream, e end) []table.WeightedBackend {
	if r.Broken != "" {
		return []table.WeightedBackend{{Weight: 1, Reply: &table.Reply{Status: 500, Code: "rule_invalid", Detail: "The route cannot be used."}}}
	}
	out := make([]table.WeightedBackend, 0, len(r.Backends))
	for _, b := range r.Backends {
		out = append(out, weightedBackend(e.backend(b), "", e.client))
	}
	return out
}

func sameStream(a, b *table.Stream) bool {
	return a.Route == b.Route && a.Terminate == b.Terminate && slices.Equal(a.Hosts, b.Hosts) &&
		slices.EqualFunc(a.Backends, b.Backends, func(x, y table.WeightedBackend) bool {
			return x.Backend == y.Backend && x.Weight == y.Weight && (x.Reply == nil) == (y.Reply == nil) && (x.Reply == nil || *x.Reply == *y.Reply)
		})
}

// addStreamBackends adds the backends of routes that are attached somewhere. One
// that HTTP routes use too stays as they have it: to relay takes no protocol.
func (c *Compiler) addStreamBackends(out []*table.Backend, g *graph.Graph) []*table.Backend {
	ends := endsOf(g)
	for _, r := range g.Streams {
		for _, p := range r.Parents {
			for _, at := range p.Attached {
				out = c.addBackendsOf(out, r, end{ends[at.Listener], c.clients[p.Gateway]})
			}
		}
	}
	slices.SortFunc(out, func(a, b *table.Backend) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (c *Compiler) addBackendsOf(out []*table.Backend, r *graph.Stream, e end) []*table.Backend {
	for _, b := range r.Backends {
		t, reply := reach(e.backend(b), e.client)
		if reply != nil {
			continue
		}
		t.Protocol = table.BackendTCP
		if b.UDP {
			t.Protocol = table.BackendUDP
		}
		if _, seen := c.backends.Now[t.ID]; !seen {
			out = append(out, c.backends.Keep(t.ID, t, sameBackend))
		}
	}
	return out
}

// streamRejections lists what of the routes cannot be used: its connections are
// refused.
func streamRejections(g *graph.Graph) (out []table.Rejection) {
	at := endsOf(g)
	for _, r := range g.Streams {
		ends := slices.ContainsFunc(r.Parents, func(p *graph.Parent) bool {
			return slices.ContainsFunc(p.Attached, func(a *graph.Attachment) bool { return at[a.Listener] })
		})
		name := string(r.Kind) + " " + r.Name().String()
		if r.Broken != "" {
			out = append(out, table.Rejection{Object: name, Reason: r.Broken, Status: 500})
			continue
		}
		for _, b := range r.Backends {
			if why := unreachable(end{here: ends}.backend(b)); why != "" {
				out = append(out, table.Rejection{Object: name, Reason: why, Status: 500})
			}
		}
	}
	return out
}
