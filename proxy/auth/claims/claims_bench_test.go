package claims

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func BenchmarkAuthorize(b *testing.B) {
	x := caller(b, token)
	r, err := New([]table.ClaimCondition{{Claim: "realm_access.roles", Values: []string{"admin"}}, {Claim: "scope", Values: []string{"orders.write"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Authorize(x)
	}
}
