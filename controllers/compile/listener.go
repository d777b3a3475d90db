package compile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compileListeners returns the listeners that serve, by port, then ID.
func (c *Compiler) compileListeners(g *graph.Graph) []*table.Listener {
	streams := c.compileStreams(g)
	var out []*table.Listener
	for _, gw := range g.Gateways {
		proxies := compileProxies(gw.Clients.ProxyProtocol)
		for _, l := range gw.Listeners {
			if l.Serves {
				t := c.compileListener(l, c.hosts.lists[l.Key], streams[l.Key])
				t.Proxies, t.Limits = proxies, compileLimits(&gw.Clients, l.Spec.Port)
				out = append(out, c.listeners.Keep(l.Key, t, sameListener))
			}
		}
	}
	slices.SortFunc(out, func(a, b *table.Listener) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.ID, b.ID))
	})
	return out
}

func (c *Compiler) compileListener(l *graph.Listener, hosts []*table.Host, streams []*table.Stream) *table.Listener {
	return &table.Listener{
		ID:           l.Key.ID(),
		Address:      l.Address,
		Port:         uint16(l.Spec.Port),
		Target:       l.Target,
		Protocol:     table.Protocol(l.Spec.Protocol),
		Hostname:     l.Hostname,
		Certificates: c.compileCertificates(l.Certificates),
		Clients:      compileClients(l.Clients),
		HTTP3:        http3(l),
		Hosts:        hosts,
		Streams:      streams,
	}
}

// http3 is the port of UDP to bind for HTTP/3; 0 for none. Where callers come by a
// Service there is none until that has the port.
func http3(l *graph.Listener) uint16 {
	switch {
	case !spec.HTTP3(l.Spec):
		return 0
	case l.Target == 0:
		return uint16(l.Spec.Port)
	}
	return l.TargetUDP
}

// compileProxies takes ranges that params has looked at.
func compileProxies(p *v1alpha1.ProxyProtocol) *table.Proxies {
	if p == nil {
		return nil
	}
	out := &table.Proxies{Optional: p.Mode == v1alpha1.ProxyProtocolOptional}
	for _, r := range p.Trusted {
		if prefix, err := netip.ParsePrefix(r); err == nil {
			out.Trusted = append(out.Trusted, prefix.Masked())
		}
	}
	return out
}

func sameListener(a, b *table.Listener) bool {
	return a.ID == b.ID && a.Address == b.Address && a.Port == b.Port && a.Target == b.Target && a.Protocol == b.Protocol && a.Hostname == b.Hostname && a.HTTP3 == b.HTTP3 &&
		sameClients(a.Clients, b.Clients) && a.Proxies.Equal(b.Proxies) && a.Limits.Equal(b.Limits) && slices.Equal(a.Certificates, b.Certificates) && slices.Equal(a.Hosts, b.Hosts) && slices.Equal(a.Streams, b.Streams)
}

// compareHostnames puts exact names first, then wildcards from the longest to
// the shortest, then "*".
func compareHostnames(a, b string) int {
	return cmp.Or(cmp.Compare(hostnameClass(a), hostnameClass(b)), wildcardLength(a, b), strings.Compare(a, b))
}

func hostnameClass(name string) int {
	switch {
	case name == "*":
		return 2
	case strings.HasPrefix(name, "*"):
		return 1
	}
	return 0
}

func wildcardLength(a, b string) int {
	if hostnameClass(a) != 1 {
		return 0
	}
	return cmp.Compare(len(b), len(a))
}
