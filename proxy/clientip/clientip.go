// Package clientip finds the caller behind trusted proxies.
//
// proxy asks it for every request before authentication, when proxies are
// trusted at all; proxy/forward asks it whose forwarding fields to keep. It
// calls proxy/mem, which compares names.
package clientip

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// maxHops is how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

// Trusted is the proxies in front whose X-Forwarded-For is believed. The nil
// value trusts nobody.
type Trusted struct {
	prefixes []netip.Prefix
}

// Parse returns the set of the prefixes and single addresses given.
func Parse(list []string) (*Trusted, error) {
	t := &Trusted{}
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("trusted proxy %q is neither an IP address nor a network such as 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("trusted proxy %q: write the IPv4 address as such", s)
		}
		t.prefixes = append(t.prefixes, p.Masked())
	}
	return t, nil
}

// Contains reports whether a is one of the proxies.
func (t *Trusted) Contains(a netip.Addr) bool {
	if t == nil {
		return false
	}
	a = a.Unmap().WithZone("") // no network contains an address with one
	for _, p := range t.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the caller's address: peer, unless that is a trusted proxy;
// then the last address of X-Forwarded-For that is none. When an entry is no
// address, nothing before it is believed, and the proxy that sent it stands for
// the caller.
func (t *Trusted) Client(peer netip.Addr, h exchange.Header) netip.Addr {
	if t == nil || len(t.prefixes) == 0 {
		return peer
	}
	return t.behind(peer, h)
}

func (t *Trusted) behind(peer netip.Addr, h exchange.Header) netip.Addr {
	client := peer.Unmap()
	if !t.Contains(client) {
		return client
	}
	hops := 0
	for i := len(h) - 1; i >= 0; i-- {
		if len(h[i].Name) != len(name) || !mem.EqualFold(h[i].Name, name) {
			continue
		}
		for rest := h[i].Value; rest != ""; {
			entry := rest
			if c := strings.LastIndexByte(rest, ','); c >= 0 {
				entry, rest = rest[c+1:], rest[:c]
			} else {
				rest = ""
			}
			a, ok := parse(strings.Trim(entry, " \t"))
			if hops++; !ok || hops > maxHops {
				return client
			}
			if client = a; !t.Contains(a) {
				return client
			}
		}
	}
	return client
}

const name = "x-forwarded-for"

// parse reads an address with or without a port.
func parse(s string) (netip.Addr, bool) {
	for i := range len(s) {
		// Only such an error needs memory, and a caller must not choose that.
		c := mem.Lower[s[i]]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '.' && c != ':' && c != '[' && c != ']' {
			return netip.Addr{}, false
		}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap(), true
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap(), true
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		a, err := netip.ParseAddr(s[1 : n-1])
		return a.Unmap(), err == nil
	}
	return netip.Addr{}, false
}
