// Package rewrite changes the host and path that are forwarded
// (HTTPURLRewriteFilter of Gateway API, GEP-726).
//
// proxy/router makes the filter from a rule's table.Rewrite and puts it into
// the rule's chain. It calls proxy/filter for the path. Nothing is allocated but
// from the exchange's arena.
package rewrite

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/filter"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Filter rewrites.
type Filter struct {
	hostname string // empty: kept
	path     *filter.Path
}

// New checks a rewrite.
func New(t *table.Rewrite) (*Filter, error) {
	f := &Filter{hostname: t.Hostname}
	if filter.MalformedHostname(t.Hostname) {
		return nil, fmt.Errorf("rewrite host name %q is malformed", t.Hostname)
	}
	if t.Path != nil {
		var err error
		if f.path, err = filter.NewPath(t.Path); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// FilterRequest implements filter.Request. The query is kept, and so is
// x.Request.Host: what the client asked for stays known to what comes after.
func (f *Filter) FilterRequest(x *exchange.Exchange) bool {
	if f.hostname != "" {
		x.Request.Authority = f.hostname
	}
	if f.path != nil {
		x.Request.Path = f.path.Apply(x.Request.Path, &x.Arena)
	}
	return true
}
