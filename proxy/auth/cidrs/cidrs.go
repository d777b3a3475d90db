// Package cidrs allows requests by the client's address.
//
// proxy/guard builds one Rule per table.AuthRule that has CIDRs. The address is
// Request.ClientIP: the one behind trusted proxies.
package cidrs

import (
	"fmt"
	"net/netip"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Rule allows what Allow holds and Deny does not.
type Rule struct {
	allow, deny []netip.Prefix
}

// New checks t. Prefixes of IPv4-mapped IPv6 addresses are taken as IPv4.
func New(t *table.CIDRs) (*Rule, error) {
	allow, err := plain(t.Allow)
	if err != nil {
		return nil, err
	}
	deny, err := plain(t.Deny)
	if err != nil {
		return nil, err
	}
	return &Rule{allow, deny}, nil
}

func plain(in []netip.Prefix) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(in))
	for i, p := range in {
		if !p.IsValid() {
			return nil, fmt.Errorf("cidrs: %v is not a network; write one as 192.0.2.0/24", p)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out[i] = p.Masked()
	}
	return out, nil
}

// Authorize implements auth.Rule. Deny wins; without Allow everyone else may.
// An address that is not known is refused.
func (r *Rule) Authorize(x *exchange.Exchange) auth.Result {
	ip := x.Request.ClientIP.Unmap().WithZone("")
	if ip.IsValid() && !contains(r.deny, ip) && (len(r.allow) == 0 || contains(r.allow, ip)) {
		return auth.Result{Outcome: auth.Accepted}
	}
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeCIDR}
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
