package router

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// hides reports whether x, which a takes, would be guarded by other policies if its
// path were read as backends may read it: as /admin where it is //admin or /admin;x.
// Who is let in by a could then reach what they guard.
func (l *Listener) hides(x *exchange.Exchange, a *Action) bool {
	path := x.Request.Path
	x.Request.Path = x.Request.Unveiled
	b := l.match(x)
	x.Request.Path = path
	return b != nil && b != a && b.Table.Auth != nil && !samePolicies(a.Table.Auth, b.Table.Auth)
}

func samePolicies(a, b *table.Auth) bool {
	return a == b || a != nil && slices.EqualFunc(a.Sources, b.Sources, func(a, b table.Source) bool { return a.Policy == b.Policy })
}
