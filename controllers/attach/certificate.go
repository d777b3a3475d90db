package attach

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

func (d *draft) clientCertificate(field string, c *v1alpha1.ClientCertificateAuthentication) {
	for i, m := range c.Match {
		at := fmt.Sprintf("%s.match[%d]", field, i)
		if m.SAN == nil && m.Subject == "" && m.CommonName == "" && m.SPKISHA256 == "" {
			d.bad(at, "set at least one of san, subject, commonName and spkiSHA256")
		}
		if m.SPKISHA256 != "" {
			if _, err := ParsePin(m.SPKISHA256); err != nil {
				d.bad(at+".spkiSHA256", "%v", err)
			}
		}
		if m.SAN != nil {
			d.san(at+".san", m.SAN)
		}
	}
}

func (d *draft) san(field string, s *v1alpha1.CertificateSAN) {
	name := s.Value
	switch s.Type {
	case v1alpha1.SANDNS:
		name = strings.TrimPrefix(name, "*.")
	case v1alpha1.SANURI:
		name = strings.TrimSuffix(name, "*")
		if u, err := url.Parse(name); err != nil || u.Scheme == "" || name != s.Value && (u.Host == "" || !strings.HasSuffix(name, "/")) {
			d.bad(field+".value", "%q is not a URI, nor the beginning of one as spiffe://shop.example/*", s.Value)
			return
		}
	case v1alpha1.SANEmail:
		if !strings.Contains(name, "@") {
			d.bad(field+".value", "%q is not an e-mail address", name)
			return
		}
	case v1alpha1.SANIP:
		if a, err := netip.ParseAddr(name); err != nil || a.Zone() != "" {
			d.bad(field+".value", "%q is not an address such as 192.0.2.7", name)
			return
		}
	default:
		d.bad(field+".type", "%q is none of DNS, URI, Email and IP", string(s.Type))
		return
	}
	if name == "" || strings.Contains(name, "*") {
		d.bad(field+".value", "%q: a * stands for the first label of a DNS name (*.shop.example) or for the rest of a URI's path (spiffe://shop.example/*), and nowhere else", s.Value)
	}
}

// ParsePin reads the SHA-256 of a public key, in base64 as in RFC 7469 or in
// hexadecimal.
func ParsePin(text string) (pin [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		raw, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(raw) != sha256.Size {
		return pin, fmt.Errorf("it is not a SHA-256 in base64 or hexadecimal")
	}
	return [sha256.Size]byte(raw), nil
}
