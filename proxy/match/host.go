package match

import (
	"cmp"
	"strings"
)

// A host pattern is a name, "*." and a name, or "*" or "" for any host. A
// wildcard stands for one label or more (Gateway API, Hostname), so
// *.example.com takes a.b.example.com but not example.com.

// Wildcard returns the suffix, from its first dot on, that a wildcard pattern
// demands, and whether pattern is one.
func Wildcard(pattern string) (suffix string, ok bool) {
	if len(pattern) > 2 && pattern[:2] == "*." {
		return pattern[1:], true
	}
	return "", false
}

// Any reports whether pattern takes any host.
func Any(pattern string) bool { return pattern == "" || pattern == "*" }

// Host reports whether pattern takes host. Both are lower case.
func Host(pattern, host string) bool {
	if suffix, ok := Wildcard(pattern); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix) && host[0] != '.'
	}
	return Any(pattern) || pattern == host
}

// CompareHosts orders patterns, the more specific first: names, then wildcards
// with longer ones first, then any.
func CompareHosts(a, b string) int {
	return cmp.Or(cmp.Compare(rankHost(a), rankHost(b)), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}

func rankHost(pattern string) int {
	if Any(pattern) {
		return 2
	}
	if _, ok := Wildcard(pattern); ok {
		return 1
	}
	return 0
}
