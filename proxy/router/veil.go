package router

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/match"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// unveil gives x the other paths that backends may read its path as.
func unveil(x *exchange.Exchange) {
	r := &x.Request
	r.Unveiled, r.Unhosted = "", ""
	plain := r.Path
	if match.Veiled(plain) {
		if other, differs := match.Unveil(plain, &x.Arena); differs {
			r.Unveiled, r.Unhosted, plain = other, match.Unhost(plain, &x.Arena), other
		}
	}
	r.Unscripted = match.Unscript(plain, &x.Arena)
}

// hides reports whether x, which a takes, would be guarded otherwise if its path were
// read as backends may read it: as /admin where it is //admin or /admin;x. Who is let
// in by a could then reach what others guard. l is the first listener of x's host.
func (l *Listener) hides(x *exchange.Exchange, a *Action) (hidden bool) {
	x.Request.Reread(true, func() bool {
		var b *Action
		for at := l; at != nil && b == nil; at = at.next {
			b = at.match(x)
		}
		hidden = b != nil && b != a && !a.guardsAs(b)
		return !hidden
	})
	return hidden
}

// guarded reports whether a may keep a request from a backend.
func (a *Action) guarded() bool {
	return a.Auth != nil || a.Validation != nil || len(a.asked) > 0 || a.Table.Reply != nil
}

// asks adds what tells the services apart that filters ask whether a request may pass.
func (a *Action) asks(filters []table.Filter) {
	for i := range filters {
		if t := filters[i].ExternalAuth; t != nil {
			a.asked = append(a.asked, table.Sum(t))
		}
	}
}

// guardsAs reports whether a lets nobody pass whom b does not.
func (a *Action) guardsAs(b *Action) bool {
	for _, s := range b.asked {
		if !slices.Contains(a.asked, s) {
			return false
		}
	}
	return (b.Table.Reply == nil || a.Table.Reply != nil) &&
		(b.Table.Auth == nil || a.Table.Auth != nil && samePolicies(a.Table.Auth.Sources, b.Table.Auth.Sources)) &&
		(b.Table.Validation == nil || a.Table.Validation != nil && samePolicies(a.Table.Validation.Sources, b.Table.Validation.Sources))
}

func samePolicies(a, b []table.Source) bool {
	return slices.EqualFunc(a, b, func(a, b table.Source) bool { return a.Policy == b.Policy })
}
