package match

import "cmp"

// matchMethod compares methods, which are case-sensitive (RFC 9110, section
// 9.1); an empty want takes any.
func matchMethod(want, method string) bool { return want == "" || want == method }

func compareMethods(a, b string) int { return cmp.Compare(rankMethod(a), rankMethod(b)) }

func rankMethod(m string) int {
	if m == "" {
		return 1
	}
	return 0
}
