package spec

import (
	"iter"
	"strings"
)

// span is hosts of one kind: a host itself, all that a wildcard with this end takes, or whatever
// is known below the end.
type span struct {
	kind byte
	name string
}

const (
	exactly byte = iota
	wildcard
	below
)

// Holdings are the first who have hosts, by number. Who has some of a list of hosts is found
// without comparing all with all.
type Holdings map[span]int

// Add says that of has hosts of a route, if nobody who was added before has them.
func (h Holdings) Add(hosts []string, of int) {
	put := func(at span) {
		if _, held := h[at]; !held {
			h[at] = of
		}
	}
	for _, host := range hosts {
		if end, wild := strings.CutPrefix(host, "*"); wild {
			put(span{wildcard, end})
		} else {
			put(span{exactly, host})
		}
		for end := range ends(host) {
			put(span{below, end})
		}
	}
}

// First is the lowest number of those whose hosts Overlap with one of these.
func (h Holdings) First(hosts []string) (first int, found bool) {
	look := func(at span) {
		if of, held := h[at]; held && (!found || of < first) {
			first, found = of, true
		}
	}
	for _, host := range hosts {
		if end, wild := strings.CutPrefix(host, "*"); wild {
			look(span{below, end})
		} else {
			look(span{exactly, host})
		}
		for end := range ends(host) {
			look(span{wildcard, end})
		}
	}
	return first, found
}

// ends are the ends of a host that begin with a dot, from the longest, and the empty one.
func ends(host string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			i := strings.IndexByte(host[min(1, len(host)):], '.')
			if i < 0 {
				yield("")
				return
			}
			if host = host[i+1:]; !yield(host) {
				return
			}
		}
	}
}
