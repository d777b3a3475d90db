package spec

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// anyHost is the host name of what takes every host.
const anyHost = "*"

// Host is the host name of a listener in lower case; "" for any.
func Host(l *gatewayv1.Listener) string {
	if l.Hostname == nil {
		return ""
	}
	return strings.ToLower(string(*l.Hostname))
}

// Intersect returns the host names a route has on a listener, lower case: what
// both take, the more specific of each pair (HTTPRouteSpec.Hostnames). None: the
// route does not belong there.
func Intersect(listener string, route []gatewayv1.Hostname) []string {
	if len(route) == 0 {
		if listener == "" {
			return []string{anyHost}
		}
		return []string{listener}
	}
	out := make([]string, 0, len(route))
	for _, h := range route {
		host, ok := narrower(listener, strings.ToLower(string(h)))
		if ok && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

// narrower returns the one of two host names that the other covers.
func narrower(a, b string) (string, bool) {
	switch {
	case a == "" || covers(a, b):
		return b, true
	case b == "" || covers(b, a):
		return a, true
	}
	return "", false
}

// covers says whether every host that b takes is taken by a: "*.example.com"
// covers "a.b.example.com" and "*.b.example.com", not "example.com".
func covers(a, b string) bool {
	if a == b {
		return true
	}
	suffix, wildcard := strings.CutPrefix(a, "*")
	return wildcard && len(b) > len(suffix) && strings.HasSuffix(b, suffix)
}
