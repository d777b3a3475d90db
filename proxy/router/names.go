package router

import "github.com/gatehouse-dev/gatehouse/proxy/match"

// names finds values by host name. The zero value is empty.
type names[T any] struct {
	exact    map[string]T
	wildcard map[string]T // by suffix: ".example.com"
	any      T
	hasAny   bool
}

// Where a lookup stands: before the exact name, at a dot of the host, or done.
const (
	atExact = -1
	atEnd   = -2
)

func (n *names[T]) add(pattern string, v T) {
	if match.Any(pattern) {
		n.any, n.hasAny = v, true
		return
	}
	into, key := &n.exact, pattern
	if suffix, ok := match.Wildcard(pattern); ok {
		into, key = &n.wildcard, suffix
	}
	if *into == nil {
		*into = map[string]T{}
	}
	(*into)[key] = v
}

// get returns the value of a pattern itself.
func (n *names[T]) get(pattern string) (v T, ok bool) {
	if match.Any(pattern) {
		return n.any, n.hasAny
	}
	if suffix, wild := match.Wildcard(pattern); wild {
		v, ok = n.wildcard[suffix]
		return v, ok
	}
	v, ok = n.exact[pattern]
	return v, ok
}

// next returns the most specific value that takes host, beginning at a place:
// atExact, then what the last call returned. It is not ok when there is none;
// the place is then atEnd.
func (n *names[T]) next(host string, at int) (v T, after int, ok bool) {
	if at == atExact {
		at = 0
		if v, ok = n.exact[host]; ok {
			return v, at, true
		}
	}
	if len(n.wildcard) > 0 {
		for at++; at < len(host); at++ { // not at 0: a wildcard takes one label at least
			if host[at] != '.' {
				continue
			}
			if v, ok = n.wildcard[host[at:]]; ok {
				return v, at, true
			}
		}
	}
	return n.any, atEnd, n.hasAny
}
