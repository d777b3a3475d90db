package ingress

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// place is a path of a host, which one Ingress of a class has. That of the default
// backend is the prefix / of a host, where no rule has it.
type place struct {
	class, host string
	exact       bool
	path        string
}

// claims settle which Ingress has what: the older keeps it, so that a new one
// takes nothing away.
type claims struct {
	config    Config
	listeners map[ListenerKey]shown
	shapes    map[*node]*shaped
}

// shown is a certificate with whose it is.
type shown struct {
	certificate
	by *node
}

// shaped is what is left of an Ingress among the others, and what that gives.
type shaped struct {
	lost      []*path  // which others have
	fallbacks []string // the hosts for which its default backend counts
	faults    []Fault

	forms   []*gatewayv1.HTTPRoute
	ingress *Ingress
}

func (s *shaped) equal(o *shaped) bool {
	return slices.Equal(s.lost, o.lost) && slices.Equal(s.fallbacks, o.fallbacks) && slices.Equal(s.faults, o.faults)
}

func newClaims(config Config, nodes []*node) *claims {
	c := &claims{config: config, listeners: map[ListenerKey]shown{}, shapes: make(map[*node]*shaped, len(nodes))}
	for _, n := range nodes {
		c.shapes[n] = &shaped{}
	}
	byAge := slices.SortedFunc(slices.Values(nodes), older)
	held, fallbacks := map[place]*node{}, map[place]*node{}
	for _, n := range byAge {
		c.paths(n, held)
		c.certificatesOf(n)
	}
	for _, n := range byAge {
		c.fallback(n, held, fallbacks)
	}
	return c
}

func (c *claims) shape(n *node) *shaped { return c.shapes[n] }

func (s *shaped) fault(format string, args ...any) {
	s.faults = append(s.faults, Fault{Reason: reasonConflict, Text: fmt.Sprintf(format, args...)})
}

// paths claims what the rules of an Ingress name.
func (c *claims) paths(n *node, held map[place]*node) {
	s := c.shapes[n]
	for _, h := range n.hosts {
		for _, p := range h.paths {
			at := place{n.class, h.name, p.exact, p.value}
			if !p.exact {
				at.path = strings.TrimRight(p.value, "/") // a slash at the end makes no other prefix
			}
			by := held[at]
			switch {
			case by == nil:
				held[at] = n
				continue
			case by == n:
				s.fault("spec.%s: an earlier rule has path %s of %s; remove one", p.rule, p.value, hostText(h.name))
			default:
				s.fault("spec.%s: the older Ingress %s has path %s of %s; remove it from one of them", p.rule, nameOf(by.object), p.value, hostText(h.name))
			}
			s.lost = append(s.lost, p)
		}
	}
}

// fallback claims what no rule of any Ingress takes: on the hosts that this one
// names, and on any host.
func (c *claims) fallback(n *node, held, fallbacks map[place]*node) {
	if n.fallback == nil {
		return
	}
	names := []string{}
	for _, h := range n.hosts {
		names = append(names, h.name)
	}
	if !slices.Contains(names, "") {
		names = append(names, "")
	}
	s := c.shapes[n]
	for _, name := range names {
		at := place{class: n.class, host: name}
		switch by := fallbacks[at]; {
		case held[at] != nil:
		case by == nil:
			fallbacks[at] = n
			s.fallbacks = append(s.fallbacks, name)
		case name != "" || len(n.hosts) == 0: // one with hosts is content with those
			s.fault("spec.defaultBackend: the older Ingress %s has the default backend of %s; remove it from one of them", nameOf(by.object), hostText(name))
		}
	}
}

// certificatesOf claims the server names of an Ingress. Two that name the same
// Secret for one agree.
func (c *claims) certificatesOf(n *node) {
	for _, cert := range n.tls {
		at := ListenerKey{c.config.gateway(n.class), listenerOf(cert.host)}
		by, taken := c.listeners[at]
		switch {
		case !taken:
			c.listeners[at] = shown{cert, n}
		case by.secret == cert.secret && by.by.object.Namespace == n.object.Namespace:
		case by.by == n:
			c.shapes[n].fault("%s: %s shows Secret %s for %s already; remove it from one of them", cert.field, by.field, by.secret, hostText(cert.host))
		default:
			c.shapes[n].fault("%s: the older Ingress %s shows its certificate for %s; that one counts here too", cert.field, nameOf(by.by.object), hostText(cert.host))
		}
	}
}

// certificates says for whom which listener shows a certificate.
func (c *claims) certificates() map[ListenerKey]Use {
	out := make(map[ListenerKey]Use, len(c.listeners))
	for key, by := range c.listeners {
		out[key] = Use{nameOf(by.by.object), by.field}
	}
	return out
}

func hostText(name string) string {
	if name == "" {
		return "any host"
	}
	return "host " + name
}
