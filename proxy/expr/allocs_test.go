//go:build !race

package expr

import "testing"

// Under the race detector sync.Pool forgets at random, so these count without it.

// What policies mostly ask is answered without memory. The library alone would
// take one to five objects for each.
func TestConditionsDoNotAllocate(t *testing.T) {
	e, x := env(t), request()
	for _, text := range []string{
		"request.method == 'GET'", "request.method in ['GET', 'HEAD']", "request.path.startsWith('/v1/')", "request.path.contains('order') && !request.path.endsWith('/')",
		"request.headers['x-tenant'] == 'acme' && request.method == 'GET'", "has(request.headers.accept)", "'x-tenant' in request.headers", "request.query.limit == '10'",
		"auth.subject == 'ann' || auth.claims.admin", "auth.claims.admin == true", "'b' in auth.claims.groups", "auth.claims.level >= 3", "auth.claims.address.country == 'IT'",
		"has(auth.claims.scope) && 'orders.read' in auth.claims.scope.split(' ')", "auth.metadata.tier in ['silver', 'gold']", "auth.claims.nope == 'x' || true",
		"auth.claims.admin ? request.headers['x-tenant'] != auth.subject : false",
	} {
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		yes, err := p.Bool(x)
		if n := testing.AllocsPerRun(100, func() { yes, err = p.Bool(x) }); n != 0 || !yes || err != nil {
			t.Errorf("%s: %v allocations; %v, %v", text, n, yes, err)
		}
	}
	for _, text := range []string{"auth.subject", "auth.claims.address.country", "request.headers['x-tenant']", "'fixed'", "auth.metadata.tier"} {
		p, err := e.Compile(text, String)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _, err = p.Field(x) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", text, n, err)
		}
	}
}
