package spec

import (
	"regexp"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// originForm is the schema's of CORSOrigin.
var originForm = regexp.MustCompile(`^(\*|https?://((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:[0-9]{1,5})?)$`)

func corsProblem(f *gatewayv1.HTTPCORSFilter, field string) *Problem {
	for i, o := range f.AllowOrigins {
		switch {
		case !originForm.MatchString(string(o)):
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.allowOrigins[%d]: %q is no origin; write https://a.example.com, https://*.example.com or *", field, i, o)
		case o == "*" && len(f.AllowOrigins) > 1:
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.allowOrigins[%d]: * stands for all origins; remove it, or the others", field, i)
		}
	}
	for i, m := range f.AllowMethods {
		if p := nameProblem(string(m), len(f.AllowMethods) > 1); p != "" {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.allowMethods[%d]: %q %s", field, i, m, p)
		}
	}
	for i, h := range f.AllowHeaders {
		if p := nameProblem(string(h), len(f.AllowHeaders) > 1); p != "" {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.allowHeaders[%d]: %q %s", field, i, h, p)
		}
	}
	for i, h := range f.ExposeHeaders {
		if p := nameProblem(string(h), false); p != "" {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.exposeHeaders[%d]: %q %s", field, i, h, p)
		}
	}
	if f.MaxAge < 0 {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.maxAge: %d is less than a second", field, f.MaxAge)
	}
	return nil
}

// nameProblem says what is wrong with one name of a list of methods or headers.
func nameProblem(name string, others bool) string {
	switch {
	case name == "*" && others:
		return "stands for all; remove it, or the others"
	case !tokenForm.MatchString(name):
		return "is not a name (RFC 9110, 5.6.2)"
	}
	return ""
}
