package mtls

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// pattern is a table.CertificateMatch, ready to be compared; what is empty is not.
type pattern struct {
	subject, commonName, spki string
	kind                      table.SANType // empty: no alternative name is asked for
	name                      string        // of a wildcard, what follows the * or comes before it
	wildcard                  bool
}

// parse checks t. A pattern that would take more than one label of a DNS name, or
// less than a whole host of a URI, is refused.
func parse(t *table.CertificateMatch) (pattern, error) {
	p := pattern{subject: t.Subject, commonName: t.CommonName, spki: t.SPKI}
	if t.SAN == nil {
		if p == (pattern{}) {
			return p, fmt.Errorf("it asks for nothing")
		}
		return p, nil
	}
	p.kind, p.name = t.SAN.Type, t.SAN.Value
	switch p.kind {
	case table.SANDNS:
		if rest, ok := strings.CutPrefix(p.name, "*."); ok {
			p.name, p.wildcard = "."+rest, true
		}
	case table.SANURI:
		if rest, ok := strings.CutSuffix(p.name, "*"); ok {
			p.name, p.wildcard = rest, true
			_, after, _ := strings.Cut(rest, "://")
			if host, _, ok := strings.Cut(after, "/"); !ok || host == "" || !strings.HasSuffix(rest, "/") {
				return p, fmt.Errorf("%q: a * stands for the rest of a URI's path, behind a slash", t.SAN.Value)
			}
		}
	case table.SANIP:
		a, err := netip.ParseAddr(p.name)
		if err != nil {
			return p, fmt.Errorf("%q is not an address", p.name)
		}
		p.name = a.Unmap().String()
	case table.SANEmail:
	default:
		return p, fmt.Errorf("a name of type %q", p.kind)
	}
	if p.name == "" || p.name == "." || strings.Contains(p.name, "*") {
		return p, fmt.Errorf("%q is not a name; a * stands for the first label of a DNS name or for the rest of a URI's path", t.SAN.Value)
	}
	return p, nil
}

// fits reports whether c is as the pattern says.
func (p *pattern) fits(c *exchange.Client) bool {
	if p.subject != "" && p.subject != c.Subject || p.commonName != "" && p.commonName != c.CommonName || p.spki != "" && p.spki != c.SPKI {
		return false
	}
	switch p.kind {
	case table.SANDNS:
		return some(c.DNSNames, p.dns)
	case table.SANURI:
		return some(c.URIs, p.uri)
	case table.SANEmail:
		return some(c.Emails, p.email)
	case table.SANIP:
		return some(c.IPs, func(ip string) bool { return ip == p.name })
	}
	return true
}

func some(names []string, fits func(string) bool) bool {
	for _, n := range names {
		if fits(n) {
			return true
		}
	}
	return false
}

// dns compares without case (RFC 5280, section 7.2).
func (p *pattern) dns(name string) bool {
	if p.wildcard {
		dot := strings.IndexByte(name, '.')
		return dot > 0 && strings.EqualFold(name[dot:], p.name)
	}
	return strings.EqualFold(name, p.name)
}

// uri compares octets. Below a prefix there must be something, and nothing that
// could lead out of it again: SPIFFE IDs have neither dot segments nor
// percent-encoding.
func (p *pattern) uri(uri string) bool {
	if !p.wildcard {
		return uri == p.name
	}
	rest, ok := strings.CutPrefix(uri, p.name)
	if !ok || rest == "" || strings.ContainsAny(rest, "%?#\\") {
		return false
	}
	for rest != "" {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// email compares the host without case, and the mailbox with (RFC 5280, section 7.5).
func (p *pattern) email(address string) bool {
	at, want := strings.LastIndexByte(address, '@'), strings.LastIndexByte(p.name, '@')
	return at == want && at >= 0 && address[:at] == p.name[:want] && strings.EqualFold(address[at:], p.name[want:])
}
