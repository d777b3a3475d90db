package router

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Mirror is a backend that gets a copy of a share of the requests (GEP-3171).
type Mirror struct {
	Backend *upstream.Backend

	numerator, denominator uint64
}

// Takes reports whether a request is among the share, as often as the share says
// when random is spread evenly over all values.
func (m *Mirror) Takes(random uint32) bool {
	return uint64(random)*m.denominator>>32 < m.numerator
}

// buildMirrors makes the mirrors among the filters.
func (b *builder) buildMirrors(from []table.Filter) (out []Mirror, err error) {
	for i := range from {
		t := from[i].Mirror
		if t == nil {
			continue
		}
		if t.Numerator < 0 || t.Denominator <= 0 {
			return nil, fmt.Errorf("a mirror takes %d of %d requests", t.Numerator, t.Denominator)
		}
		out = append(out, Mirror{b.owners.Upstreams.Backend(t.Backend, ""), uint64(t.Numerator), uint64(t.Denominator)})
	}
	return out, nil
}
