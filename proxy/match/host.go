package match

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
