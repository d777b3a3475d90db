package listener

import (
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/clientcert"
	"github.com/gatehouse-dev/gatehouse/proxy/stream"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// certificate is a parsed table.Certificate, or why it cannot be.
type certificate struct {
	tls *tls.Certificate
	err error
}

// names finds the listener, and with it the certificates, for a server name.
type names = byName[entry]

// entry is one listener's certificates, in its order, and its streams.
type entry struct {
	listener *table.Listener
	certs    []*tls.Certificate
	config   *tls.Config // of handshakes that ask for client certificates; nil: the socket's
	quic     *tls.Config // the same for HTTP/3
	streams  byName[stream.Route]
}

// byName finds values by server name.
type byName[T any] struct {
	exact    map[string]*T
	wildcard map[string]*T // "*.example.com" under ".example.com"
	any      *T            // of no name in particular
}

// names indexes listeners of one port. certs receives what it parsed.
func (p *Plan) names(listeners []*table.Listener, certs map[*table.Certificate]*certificate) names {
	var n names
	for _, l := range listeners {
		e := &entry{listener: l}
		for _, c := range l.Certificates {
			parsed := p.set.parse(c, certs)
			if parsed.err != nil {
				p.Failed[l.ID] = fmt.Errorf("certificate %s: %w", c.ID, parsed.err)
				continue
			}
			e.certs = append(e.certs, parsed.tls)
			p.Valid[c.ID] = telemetry.Validity{NotBefore: parsed.tls.Leaf.NotBefore, NotAfter: parsed.tls.Leaf.NotAfter}
		}
		slices.SortStableFunc(e.certs, func(a, b *tls.Certificate) int { return slow(a) - slow(b) })
		for _, s := range l.Streams {
			route := p.set.cfg.Route(s)
			for _, host := range s.Hosts {
				e.streams.add(host, route)
			}
		}
		if len(l.Certificates) == 0 && l.Protocol == table.HTTPS {
			p.Failed[l.ID] = errors.New("no certificate")
		}
		if l.Clients != nil && l.Protocol == table.HTTPS {
			e.config = p.set.asking(e, l.Clients)
			e.quic = overQUIC(e.config)
		}
		n.add(l.Hostname, e)
	}
	return n
}

// slow is 1 for a key of RSA, and 0 for others: a handshake with one costs many
// times as much CPU as with one of ECDSA.
func slow(c *tls.Certificate) int {
	if _, rsa := c.PrivateKey.(*rsa.PrivateKey); rsa {
		return 1
	}
	return 0
}

// add keeps the first value of each name; "" and "*" are any.
func (n *byName[T]) add(name string, v *T) {
	if name == "" || name == "*" {
		if n.any == nil {
			n.any = v
		}
		return
	}
	into := &n.exact
	if strings.HasPrefix(name, "*.") {
		into, name = &n.wildcard, name[1:]
	}
	if *into == nil {
		*into = map[string]*T{}
	}
	if (*into)[name] == nil {
		(*into)[name] = v
	}
}

// find returns the value with the most specific name for a server name; "" is
// what a client that sends none asks for.
func (n *byName[T]) find(name string) *T {
	if v := n.exact[name]; v != nil {
		return v
	}
	for rest := name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return n.any
		}
		if v := n.wildcard[rest[i:]]; v != nil && i > 0 {
			return v
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
// that takes the server name, those with keys of RSA last: the first that is valid
// for the name and that the client can verify, else the first it can verify, else
// the first. With none to
// pick from, crypto/tls sends unrecognized_name (RFC 6066, section 3).
func (p *Port) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	e := p.names.find(strings.ToLower(hello.ServerName))
	if e == nil {
		return nil
	}
	return e.certificate(hello)
}

func (e *entry) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(e.certs) == 0 {
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

// asking is the configuration of handshakes with e, which asks for a client's certificate.
func (s *Set) asking(e *entry, t *table.ClientCAs) *tls.Config {
	c := offer(minVersion, "h2", "http/1.1")
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return e.certificate(hello), nil }
	clientcert.New(t).Ask(c)
	s.resume(c, t)
	return c
}

// handshake is the configuration for a client that differs from the socket's; nil
// for none.
func (p *Port) handshake(hello *tls.ClientHelloInfo) *tls.Config {
	if e := p.names.find(strings.ToLower(hello.ServerName)); e != nil {
		return e.config
	}
	return nil
}
