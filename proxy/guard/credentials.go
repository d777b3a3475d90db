package guard

import (
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/grant"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/mint"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxCredentials is how many credentials of the gateway's own one request takes.
const maxCredentials = 8

// voucher is one credential of the gateway's own, set on the forwarded request.
type voucher struct {
	name    string
	header  [1]string // lower case
	source  int
	when    []*expr.Program
	fixed   string       // the field's value, if it depends on nothing
	voucher auth.Voucher // else where it comes from
}

// vouching is where credentials of the gateway's own come from.
type vouching struct {
	mints   *mint.Owner
	minted  generations[grantKey, minter]
	grants  *grant.Owner
	granted generations[grantKey, usable]
}

// grantKey tells grants apart that write what they get differently.
type grantKey struct {
	config [32]byte
	scheme string
}

// usable is a grant, or why there is none.
type usable struct {
	*grant.Grant
	err error
}

// minter is a mint.Minter, or why there is none.
type minter struct {
	*mint.Minter
	err error
}

// SetSigningKeys replaces the keys that tokens for backends are signed with: the
// first signs, all are published. It may be called at any time.
func (b *Builder) SetSigningKeys(secrets ...string) error { return b.mints.SetKeys(secrets...) }

// SigningKeys is the public keys, a JWK set. It may be called at any time.
func (b *Builder) SigningKeys() []byte { return b.mints.KeySet() }

func (c *compiler) credential(t *table.BackendCredential) {
	what := "credential " + t.Name
	v := voucher{name: t.Name, source: c.source(t.Source, what), when: c.conditions(t.When, what)}
	v.header[0] = strings.ToLower(t.Into.Name)
	if t.Into.Name == "" || reserved(v.header[0]) {
		c.fail(what, fmt.Errorf("the gateway itself sets the header %q; choose another name", t.Into.Name))
	}
	switch {
	case t.Unavailable != "":
		v.voucher = unavailable{}
	case t.Static != nil:
		if v.fixed = string(t.Static.Value); t.Into.Scheme != "" {
			v.fixed = t.Into.Scheme + " " + v.fixed
		}
		if len(t.Static.Value) == 0 || strings.ContainsFunc(v.fixed, func(r rune) bool { return r < ' ' || r > '~' }) {
			c.fail(what, fmt.Errorf("its value cannot stand in a header"))
		}
	case t.Minted != nil:
		m := c.minted.get(grantKey{table.Sum(t.Minted), t.Into.Scheme}, func() minter {
			m, err := c.mints.Minter(t.Minted, t.Into.Scheme)
			return minter{m, err}
		})
		v.voucher = m.Minter
		c.fail(what, m.err)
	case t.Grant != nil:
		u := c.granted.get(grantKey{table.Sum(t.Grant), t.Into.Scheme}, func() usable {
			g, err := c.grants.Grant(t.Grant, t.Into)
			return usable{g, err}
		})
		v.voucher = u.Grant
		c.fail(what, u.err)
	default:
		c.fail(what, fmt.Errorf("it is of no kind; set static, minted or grant"))
	}
	c.policy.vouchers = append(c.policy.vouchers, v)
	c.policy.identities = append(c.policy.identities, v.header[0])
}

// furnish gets the credentials that apply. It is done last: what does not pass
// costs nobody a token.
func (p *Policy) furnish(x *exchange.Exchange, d *decision) {
	for i := range p.vouchers {
		d.at = i
		v := &p.vouchers[i]
		if d.gates>>v.source&1 == 0 {
			continue
		}
		applies, err := all(v.when, x)
		switch {
		case err != nil:
			d.verdict, d.code, d.source = forbidden, auth.CodeRuleError, v.source
			return
		case !applies:
			continue
		case v.voucher == nil:
			d.credentials[i] = v.fixed
			continue
		}
		value, r := v.voucher.Value(x)
		switch r.Outcome {
		case auth.Accepted:
			d.credentials[i] = value
			continue
		case auth.Unavailable:
			d.verdict = undecidable
		case auth.Rejected, auth.Absent:
			d.verdict = forbidden
		}
		d.code, d.source, d.retryAfter = r.Code, v.source, r.RetryAfter
		return
	}
}

// vouch sets the credentials in place of whatever else wrote to their fields.
func (p *Policy) vouch(x *exchange.Exchange, d *decision) {
	for i := range p.vouchers {
		if d.credentials[i] == "" {
			continue
		}
		v := &p.vouchers[i]
		x.Request.Header.DropLike(v.header[:])
		x.Request.Header.Add(v.header[0], d.credentials[i])
	}
}

func (p *Policy) voucherStep(x *exchange.Exchange, d *decision, i int) exchange.Step {
	v := &p.vouchers[i]
	s := exchange.Step{Part: exchange.PartCredential, Name: v.name, Policy: p.policyName(v.source), Outcome: exchange.StepNotTried}
	last := d.progress == furnishing && i == d.at && d.verdict != allow
	switch applies, err := all(v.when, x); {
	case last && d.verdict == undecidable:
		s.Outcome, s.Code = exchange.StepUnavailable, d.code
	case last && d.code == auth.CodeRuleError:
		s.Outcome, s.Code = exchange.StepFailed, d.code
		s.When, s.Cause = because(v.when, x)
	case last:
		s.Outcome, s.Code = exchange.StepDenied, d.code
	case d.verdict != allow && (d.progress < furnishing || i > d.at):
	case d.gates>>v.source&1 == 0, err == nil && !applies:
		s.Outcome = exchange.StepSkipped
	case d.progress < furnishing: // it was asked what would be, and no token for that is fetched
		s.Outcome = exchange.StepApplies
	default:
		s.Outcome = exchange.StepSet
	}
	return s
}
