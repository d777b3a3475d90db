package match

import "github.com/gatehouse-dev/gatehouse/proxy/exchange"

// query returns the first value of a query parameter, decoded, and whether it
// is there. Gateway API leaves open which value counts; the first is what most
// programs behind us read.
func query(x *exchange.Exchange, name string) (string, bool) {
	v, n := x.Query(name)
	return v, n > 0
}
