// Package mtls accepts the TLS client certificate of the connection.
//
// proxy/guard builds one Method per policy that uses it. proxy/clientcert has
// judged the certificate, and proxy/router noted in Exchange.Vouched what the
// listener that took the request thinks of it; one that no authority stands for
// says nothing.
package mtls

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Method accepts certificates that fit one of its patterns.
type Method struct {
	match []pattern // none: any
	clock auth.Clock
}

// New makes the method. An error names the pattern that cannot be used.
func New(t *table.ClientCertificate, clock auth.Clock) (*Method, error) {
	m := &Method{clock: clock}
	for i := range t.Match {
		p, err := parse(&t.Match[i])
		if err != nil {
			return nil, fmt.Errorf("match[%d]: %w", i, err)
		}
		m.match = append(m.match, p)
	}
	return m, nil
}

// Authenticate implements auth.Method. A connection may outlive the certificate,
// which was good when it began; that is looked at here, on each request.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	c := x.Conn.Client
	switch {
	case c == nil:
		return auth.Result{Outcome: auth.Absent}
	case !x.Vouched:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeCertUnverified}
	case m.clock.At(x).After(c.NotAfter):
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeCertExpired}
	case !m.fits(c):
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeCertMismatch}
	}
	id := c.Identity()
	p.Subject, p.Claims = id.Subject, id.Claims
	return auth.Result{Outcome: auth.Accepted}
}

func (m *Method) fits(c *exchange.Client) bool {
	for i := range m.match {
		if m.match[i].fits(c) {
			return true
		}
	}
	return len(m.match) == 0
}

// Challenge implements auth.Method. HTTP has none for certificates: TLS asks.
func (m *Method) Challenge() string { return "" }

// Strip implements auth.Method. A certificate is not part of the request.
func (m *Method) Strip(*exchange.Exchange) {}
