// Package credential finds a credential in a request, and removes it.
//
// proxy/guard builds one Places per authentication method from
// table.AuthMethod.From; the methods see it as auth.Credential. A value is
// found without allocation, unless it is percent-encoded in a query.
package credential

import (
	"errors"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Places are where a credential may stand, in the order they are looked at. The
// first place that has one decides.
type Places struct {
	places []table.CredentialSource // header names in lower case
}

// New checks from. A place names exactly one of header, cookie and query.
func New(from []table.CredentialSource) (*Places, error) {
	if len(from) == 0 {
		return nil, errors.New("from: no place to look for a credential; name a header, cookie or query parameter")
	}
	c := &Places{places: make([]table.CredentialSource, len(from))}
	for i, p := range from {
		named := 0
		for _, s := range []string{p.Header, p.Cookie, p.Query} {
			if s != "" {
				named++
			}
		}
		if named != 1 || p.Scheme != "" && p.Header == "" {
			return nil, fmt.Errorf("from[%d]: set exactly one of header, cookie and query, and scheme only with header", i)
		}
		c.places[i] = p
	}
	return c, nil
}

// Find implements auth.Credential. An empty value counts as absent. A header
// which a second field line repeats is refused, as is a cookie or parameter
// whose name comes twice: the backend might go by the other one.
func (c *Places) Find(x *exchange.Exchange) (string, auth.Outcome) {
	for i := range c.places {
		var v string
		var n int
		switch p := &c.places[i]; {
		case p.Header != "":
			v, n = findHeader(x.Request.Header, p.Header, p.Scheme)
		case p.Cookie != "":
			v, n = findCookie(x.Request.Header, p.Cookie)
		default:
			v, n = x.Query(p.Query)
		}
		switch {
		case n > 1:
			return "", auth.Rejected
		case n == 1 && v != "":
			return v, auth.Accepted
		}
	}
	return "", auth.Absent
}

// Strip implements auth.Credential. What stands beside the credential stays:
// other cookies, other parameters, other schemes.
func (c *Places) Strip(x *exchange.Exchange) {
	for i := range c.places {
		switch p := &c.places[i]; {
		case p.Header != "":
			stripHeader(x.Request.Header, p.Header, p.Scheme)
		case p.Cookie != "":
			stripCookie(x, p.Cookie)
		default:
			x.DropQuery(p.Query)
		}
	}
}

// findHeader returns the credential and on how many lines the field stands;
// 0 when no line has the scheme.
func findHeader(h exchange.Header, name, scheme string) (value string, lines int) {
	found := false
	for i := range h {
		if len(h[i].Name) != len(name) || !mem.EqualFold(h[i].Name, name) {
			continue
		}
		lines++
		if v, ok := afterScheme(h[i].Value, scheme); ok && !found {
			value, found = v, true
		}
	}
	if !found {
		return "", 0
	}
	return value, lines
}

// afterScheme returns what follows "scheme SP" (RFC 9110, section 11.4).
func afterScheme(v, scheme string) (string, bool) {
	if scheme == "" {
		return v, true
	}
	n := len(scheme)
	if len(v) < n || !mem.EqualFold(v[:n], scheme) || len(v) > n && v[n] != ' ' {
		return "", false
	}
	v = v[n:]
	for v != "" && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}

func stripHeader(h exchange.Header, name, scheme string) {
	for i := range h {
		if len(h[i].Name) != len(name) || !mem.EqualFold(h[i].Name, name) {
			continue
		}
		if _, ok := afterScheme(h[i].Value, scheme); ok {
			h[i].Name = ""
		}
	}
}
