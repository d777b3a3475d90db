package feature

import (
	"strings"
	"testing"
)

func TestWeights(t *testing.T) {
	w := Start(t, Base+Service("other"))
	const times = 600
	c := w.Client("")
	shares := func(want string, refs ...string) {
		t.Helper()
		w.Apply(Route("r", `{backendRefs: [`+strings.Join(refs, ", ")+`]}`))
		got := map[string]int{}
		for range times {
			a := w.Over(c, "GET http://a/", "")
			if s := a.Seen().Service; s != "" {
				got[s]++
			} else {
				got[itoa(a.Status)+" "+a.Code()]++
			}
		}
		for what := range got {
			if !strings.Contains(want, what) {
				t.Errorf("%v: %q was not to be expected", refs, what)
			}
		}
		for line := range strings.SplitSeq(want, ", ") {
			what, percent, _ := strings.Cut(line, ": ")
			expect := times * atoi(percent) / 100
			// Within six standard deviations, or exactly all.
			if off := got[what] - expect; expect == times && off != 0 || off > 75 || off < -75 {
				t.Errorf("%v: %q %d times of %d, want about %d", refs, what, got[what], times, expect)
			}
		}
	}
	const api, other = `{name: api, port: 80, weight: `, `{name: other, port: 80, weight: `
	shares("shop/api: 100", api+"1}")
	shares("shop/api: 50, shop/other: 50", `{name: api, port: 80}`, `{name: other, port: 80}`)
	shares("shop/api: 90, shop/other: 10", api+"90}", other+"10}")
	shares("shop/api: 100", api+"1}", other+"0}")
	shares("shop/other: 100", api+"0}", other+"1}")
	shares("500 no_backend: 100", api+"0}", other+"0}")
	shares("500 no_backend: 100")
	// What cannot be used keeps its share, as 500.
	shares("shop/api: 75, 500 backend_not_found: 25", api+"3}", `{name: gone, port: 80, weight: 1}`)
	shares("shop/api: 50, 500 backend_not_found: 50", api+"1}", `{name: api, port: 81, weight: 1}`)
	shares("shop/api: 50, 500 ref_not_permitted: 50", api+"1}", `{name: api, namespace: elsewhere, port: 80, weight: 1}`)
	shares("shop/api: 50, 500 backend_kind_unknown: 50", api+"1}", `{name: api, group: example.test, kind: Bucket, weight: 1}`)
	shares("shop/api: 100", api+"1}", `{name: gone, port: 80, weight: 0}`)
	// The largest weights do not overflow.
	shares("shop/api: 50, shop/other: 50", api+"1000000}", other+"1000000}")
}

// atoi reads a number written in a test.
func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// A Service of another namespace serves once that namespace allows it, and no longer.
func TestReferenceGrants(t *testing.T) {
	t.Parallel()
	const theirs = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: infra}
spec: {ports: [{port: 80}]}
---
`
	const grant = `
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: shop, namespace: infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: "", kind: Service, name: api}]
---
`
	w := Start(t, Base+theirs+Route("r", `{backendRefs: [{name: api, namespace: infra, port: 80}]}`))
	is := func(want string) {
		t.Helper()
		if a := w.Do("GET http://a/"); a.Code()+a.Seen().Service != want {
			t.Errorf("%d %s %s, want %s", a.Status, a.Code(), a.Seen().Service, want)
		}
	}
	is("ref_not_permitted")
	w.Apply(grant)
	is("infra/api")
	w.Delete(grant)
	is("ref_not_permitted")
	w.Apply(strings.ReplaceAll(grant, "name: api", "name: other"))
	is("ref_not_permitted")
}
