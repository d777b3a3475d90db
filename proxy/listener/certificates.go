package listener

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// certificate is a parsed table.Certificate, or why it cannot be.
type certificate struct {
	tls *tls.Certificate
	err error
}

// names finds the listener, and with it the certificates, for a server name.
type names struct {
	exact    map[string]*entry
	wildcard map[string]*entry // "*.example.com" under ".example.com"
	any      *entry            // the listener with no hostname
}

// entry is one listener's certificates, in its order.
type entry struct {
	listener *table.Listener
	certs    []*tls.Certificate
}

// names indexes listeners of one port. certs receives what it parsed.
func (p *Plan) names(listeners []*table.Listener, certs map[*table.Certificate]*certificate) names {
	n := names{exact: map[string]*entry{}, wildcard: map[string]*entry{}}
	for _, l := range listeners {
		e := &entry{listener: l}
		for _, c := range l.Certificates {
			parsed := p.set.parse(c, certs)
			if parsed.err != nil {
				p.Failed[l.ID] = fmt.Errorf("certificate %s: %w", c.ID, parsed.err)
				continue
			}
			e.certs = append(e.certs, parsed.tls)
		}
		if len(l.Certificates) == 0 {
			p.Failed[l.ID] = errors.New("no certificate")
		}
		n.add(l.Hostname, e)
	}
	return n
}

// add keeps the first listener of each hostname.
func (n *names) add(hostname string, e *entry) {
	switch m, name := n.exact, hostname; {
	case hostname == "":
		if n.any == nil {
			n.any = e
		}
	default:
		if strings.HasPrefix(name, "*.") {
			m, name = n.wildcard, name[1:]
		}
		if m[name] == nil {
			m[name] = e
		}
	}
}

// find returns the entry with the most specific hostname for a server name; ""
// is what a client that sends none asks for.
func (n *names) find(name string) *entry {
	if e := n.exact[name]; e != nil {
		return e
	}
	for rest := name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return n.any
		}
		if e := n.wildcard[rest[i:]]; e != nil && i > 0 {
			return e
		}
		rest = rest[i+1:]
	}
}

// parse returns c parsed, once for as long as tables hold c.
func (s *Set) parse(c *table.Certificate, certs map[*table.Certificate]*certificate) *certificate {
	if parsed := certs[c]; parsed != nil {
		return parsed
	}
	parsed := s.certs[c]
	if parsed == nil {
		pair, err := tls.X509KeyPair(c.Chain, c.Key)
		parsed = &certificate{&pair, err}
	}
	certs[c] = parsed
	return parsed
}

// certificate picks for a handshake, among the certificates of the listener
// that takes the server name: the first that is valid for the name and that the
// client can verify, else the first it can verify, else the first. With none to
// pick from, crypto/tls sends unrecognized_name (RFC 6066, section 3).
func (p *Port) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	e := p.names.find(strings.ToLower(hello.ServerName))
	if e == nil || len(e.certs) == 0 {
		return nil
	}
	anyName := *hello
	anyName.ServerName = ""
	for _, h := range []*tls.ClientHelloInfo{hello, &anyName} {
		for _, c := range e.certs {
			if h.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return e.certs[0]
}
