package spec

import (
	"fmt"
	"net/url"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// externalAuthProblem checks an ExternalAuth filter (GEP-1494).
func externalAuthProblem(f *gatewayv1.HTTPExternalAuthFilter, field string) *Problem {
	lists := map[string][]string{}
	switch {
	case f.ExternalAuthProtocol == gatewayv1.HTTPRouteExternalAuthGRPCProtocol && f.HTTPAuthConfig == nil:
		if f.GRPCAuthConfig != nil {
			lists["grpc.allowedHeaders"] = f.GRPCAuthConfig.AllowedRequestHeaders
		}
	case f.ExternalAuthProtocol == gatewayv1.HTTPRouteExternalAuthHTTPProtocol && f.GRPCAuthConfig == nil:
		if c := f.HTTPAuthConfig; c != nil {
			if why := PrefixFault(c.Path); why != "" {
				return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.http.path: %s", field, why)
			}
			lists["http.allowedHeaders"], lists["http.allowedResponseHeaders"] = c.AllowedRequestHeaders, c.AllowedResponseHeaders
		}
	case f.GRPCAuthConfig != nil || f.HTTPAuthConfig != nil:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: grpc goes with protocol GRPC, http with protocol HTTP; remove the other one", field)
	default:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.protocol: %q is not supported; use GRPC or HTTP", field, f.ExternalAuthProtocol)
	}
	for _, at := range []string{"grpc.allowedHeaders", "http.allowedHeaders", "http.allowedResponseHeaders"} {
		for i, name := range lists[at] {
			if !tokenForm.MatchString(strings.TrimPrefix(name, ":")) {
				return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.%s[%d]: %q is not a header name (RFC 9110, 5.6.2)", field, at, i, name)
			}
		}
	}
	return nil
}

// PrefixFault says what is wrong with a path that is put before those of
// requests; "" for nothing. It must not lead elsewhere than it says.
func PrefixFault(path string) string {
	for segment := range strings.SplitSeq(strings.TrimRight(path, "/"), "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\\\x00") || strings.ContainsAny(segment, "?# ") {
			return fmt.Sprintf("%q is malformed, or hides where it leads; write a plain path such as /check", path)
		}
	}
	return ""
}
