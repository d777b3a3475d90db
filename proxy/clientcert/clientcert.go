// Package clientcert decides which client certificates a listener believes
// (GEP-91).
//
// proxy/listener asks it during a handshake, proxy/router before a listener takes
// a request: the listener may have changed its mind since, or be another than the
// handshake was with; proxy/explain asks it for a caller that there is not. It calls proxy/table,
// which tells Authorities apart.
package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Authorities are those that a listener trusts with its clients.
type Authorities struct {
	id       [32]byte // the same for the same settings, in every table
	pool     *x509.CertPool
	hint     bool // their names are few enough to be sent to clients
	insecure bool // clients without a valid certificate are let in
}

// maxHint bounds, in bytes, the names of authorities that are sent to clients; the
// message has room for 64 KiB.
const maxHint = 32 << 10

// New returns the Authorities of a table. Of a bundle that cannot be read it
// trusts nobody.
func New(t *table.ClientCAs) *Authorities {
	a := &Authorities{id: table.Sum(t), pool: x509.NewCertPool(), insecure: t.Insecure}
	names := 0
	for rest := t.CAs; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			a.pool.AddCert(c)
			names += len(c.RawSubject)
		}
	}
	a.hint = names <= maxHint
	return a
}

// Ask makes handshakes by c ask for a certificate, and fail for one that is
// missing or not believed unless such clients are let in.
func (a *Authorities) Ask(c *tls.Config) {
	if a.hint {
		c.ClientCAs = a.pool
	}
	if a.insecure {
		c.ClientAuth = tls.RequestClientCert
		return
	}
	c.ClientAuth = tls.RequireAnyClientCert
	// It is asked of resumed sessions as well, which may have begun elsewhere.
	c.VerifyConnection = func(s tls.ConnectionState) error { return a.Verify(s.PeerCertificates) }
}

// Admits reports whether a client may make requests of the listener; c is nil for
// one that showed no certificate. A client is looked at once, and again when the
// listener's authorities are others than those that were asked.
func (a *Authorities) Admits(c *exchange.Client) bool {
	if c == nil {
		return a.insecure
	}
	return a.Vouches(c) || a.insecure
}

// Vouches reports whether one of the authorities stands for the client, which may
// be nil; none does where no Authorities are set.
func (a *Authorities) Vouches(c *exchange.Client) bool {
	if a == nil || c == nil {
		return false
	}
	j := c.Judged()
	if j == nil || j.By != a.id {
		j = &exchange.Judgement{By: a.id, OK: a.Verify(c.Chain) == nil}
		c.Judge(j)
	}
	return j.OK
}

var errNone = errors.New("clientcert: the client shows no certificate")

// Verify checks that a chain leads to one of the authorities and is meant for
// clients.
func (a *Authorities) Verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errNone
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: a.pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}
