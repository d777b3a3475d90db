package router

import "github.com/gatehouse-dev/gatehouse/proxy/match"

// names finds values by host name. The zero value is empty.
type names[T any] struct {
	exact    lookup[string, *T]
	wildcard lookup[string, *T] // by suffix: ".example.com"
	any      *T
}

// Where a lookup stands: before the exact name, at a dot of the host, or done.
const (
	atExact = -1
	atEnd   = -2
)

func (n *names[T]) add(pattern string, v *T) {
	if match.Any(pattern) {
		n.any = v
	} else if suffix, ok := match.Wildcard(pattern); ok {
		n.wildcard.set(suffix, v)
	} else {
		n.exact.set(pattern, v)
	}
}

// get returns the value of a pattern itself, or nil.
func (n *names[T]) get(pattern string) *T {
	if match.Any(pattern) {
		return n.any
	}
	if suffix, wild := match.Wildcard(pattern); wild {
		return n.wildcard.get(suffix)
	}
	return n.exact.get(pattern)
}

// next returns the most specific value that takes host, beginning at a place:
// atExact, then what the last call returned. It is nil when there is none; the
// place is then atEnd.
func (n *names[T]) next(host string, at int) (v *T, after int) {
	if at == atExact {
		at = 0
		if v = n.exact.get(host); v != nil {
			return v, at
		}
	}
	if !n.wildcard.empty() {
		for at++; at < len(host); at++ { // not at 0: a wildcard takes one label at least
			if host[at] != '.' {
				continue
			}
			if v = n.wildcard.get(host[at:]); v != nil {
				return v, at
			}
		}
	}
	return n.any, atEnd
}
