package credential

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

func stripQuery(x *exchange.Exchange, name string) {
	if _, n := x.Query(name); n == 0 {
		return
	}
	kept := x.Arena.Alloc(len(x.Request.RawQuery))[:0]
	for rest := x.Request.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if key, _, _ := strings.Cut(pair, "="); exchange.EqualDecoded(key, name) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, '&')
		}
		kept = append(kept, pair...)
	}
	x.Request.RawQuery = mem.String(kept)
}
