package spec

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// filters checks a list of filters: those of the rule, or of one backendRef, with
// which the rule's have to go together. A filter that cannot be honoured breaks
// the rule; it is never skipped (HTTPRouteFilter.ExtensionRef).
func (r *ruleReader) filters(field string, filters []gatewayv1.HTTPRouteFilter, hasBackends, onBackend bool) {
	seen := map[gatewayv1.HTTPRouteFilterType]bool{}
	for i := range filters {
		f, at := &filters[i], fmt.Sprintf("%s[%d]", field, i)
		if seen[f.Type] && f.Type != gatewayv1.HTTPRouteFilterRequestMirror {
			r.breaks(Problemf(gatewayv1.RouteReasonIncompatibleFilters, "%s: a second %s; merge it into the first", at, f.Type))
		}
		seen[f.Type] = true
		if p := r.filterProblem(f, at); p != nil {
			r.breaks(p)
		}
	}
	redirect, rewrite := seen[gatewayv1.HTTPRouteFilterRequestRedirect], seen[gatewayv1.HTTPRouteFilterURLRewrite]
	switch {
	case onBackend && seen[gatewayv1.HTTPRouteFilterCORS]:
		r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: CORS is not supported on a backendRef, which is chosen after a preflight is answered; move it to the rule", field))
	case onBackend && (redirect || rewrite) && r.rewrites():
		// The second would change what the first has made, so neither would do what it says.
		kind := gatewayv1.HTTPRouteFilterURLRewrite
		if redirect {
			kind = gatewayv1.HTTPRouteFilterRequestRedirect
		}
		r.breaks(Problemf(gatewayv1.RouteReasonIncompatibleFilters, "%s: %s excludes the URLRewrite of the rule; move that to the backendRefs it is for", field, kind))
	case redirect && rewrite:
		r.breaks(Problemf(gatewayv1.RouteReasonIncompatibleFilters, "%s: RequestRedirect and URLRewrite exclude each other; remove one", field))
	case redirect && hasBackends:
		r.breaks(Problemf(gatewayv1.RouteReasonIncompatibleFilters, "%s: RequestRedirect and backendRefs exclude each other; remove one", field))
	}
}

// rewrites says whether the rule rewrites whatever goes to its backends.
func (r *ruleReader) rewrites() bool {
	return slices.ContainsFunc(r.spec.Filters, func(f gatewayv1.HTTPRouteFilter) bool { return f.Type == gatewayv1.HTTPRouteFilterURLRewrite })
}

func (r *ruleReader) filterProblem(f *gatewayv1.HTTPRouteFilter, field string) *Problem {
	if r.grpc && !slices.Contains(grpcFilterTypes(), string(f.Type)) && f.Type != gatewayv1.HTTPRouteFilterExtensionRef {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use %s", field, f.Type, List(grpcFilterTypes()))
	}
	missing := false
	switch f.Type {
	case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
		if missing = f.RequestHeaderModifier == nil; !missing {
			return headerProblem(f.RequestHeaderModifier, field+".requestHeaderModifier")
		}
	case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
		if missing = f.ResponseHeaderModifier == nil; !missing {
			return headerProblem(f.ResponseHeaderModifier, field+".responseHeaderModifier")
		}
	case gatewayv1.HTTPRouteFilterRequestRedirect:
		if missing = f.RequestRedirect == nil; !missing {
			return r.redirectProblem(f.RequestRedirect, field+".requestRedirect")
		}
	case gatewayv1.HTTPRouteFilterURLRewrite:
		if missing = f.URLRewrite == nil; !missing {
			return r.pathProblem(f.URLRewrite.Path, field+".urlRewrite.path")
		}
	case gatewayv1.HTTPRouteFilterRequestMirror:
		if missing = f.RequestMirror == nil; !missing {
			return mirrorProblem(f.RequestMirror, field+".requestMirror")
		}
	case gatewayv1.HTTPRouteFilterCORS:
		if missing = f.CORS == nil; !missing {
			return corsProblem(f.CORS, field+".cors")
		}
	case gatewayv1.HTTPRouteFilterExternalAuth:
		if missing = f.ExternalAuth == nil; !missing {
			return externalAuthProblem(f.ExternalAuth, field+".externalAuth")
		}
	case gatewayv1.HTTPRouteFilterExtensionRef:
		p := Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: ExtensionRef is not supported; remove it", field)
		if ref := f.ExtensionRef; ref != nil {
			r.rule.Unknown = append(r.rule.Unknown, Problemf(gatewayv1.RouteReasonInvalidKind, "%s.extensionRef: %s %s is not supported; remove it", field, ref.Kind, ref.Name))
		}
		return p
	default:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue,
			"%s.type: %q is not supported; use %s", field, f.Type, List(filterTypes()))
	}
	if missing {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: the settings of %s are missing", field, f.Type)
	}
	return nil
}

func grpcFilterTypes() []string {
	return []string{
		string(gatewayv1.GRPCRouteFilterRequestHeaderModifier), string(gatewayv1.GRPCRouteFilterResponseHeaderModifier),
		string(gatewayv1.GRPCRouteFilterRequestMirror),
	}
}

func filterTypes() []string {
	return []string{
		string(gatewayv1.HTTPRouteFilterRequestHeaderModifier), string(gatewayv1.HTTPRouteFilterResponseHeaderModifier),
		string(gatewayv1.HTTPRouteFilterRequestRedirect), string(gatewayv1.HTTPRouteFilterURLRewrite), string(gatewayv1.HTTPRouteFilterCORS),
		string(gatewayv1.HTTPRouteFilterRequestMirror), string(gatewayv1.HTTPRouteFilterExternalAuth),
	}
}

func (r *ruleReader) redirectProblem(f *gatewayv1.HTTPRequestRedirectFilter, field string) *Problem {
	if f.Scheme != nil && *f.Scheme != "http" && *f.Scheme != "https" {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.scheme: %q is not supported; use http or https", field, *f.Scheme)
	}
	if f.StatusCode != nil && !slices.Contains([]int{301, 302, 303, 307, 308}, *f.StatusCode) {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.statusCode: %d is not supported; use 301, 302, 303, 307 or 308", field, *f.StatusCode)
	}
	if f.Port != nil && (*f.Port < 1 || *f.Port > 65535) {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.port: %d is not a port", field, *f.Port)
	}
	return r.pathProblem(f.Path, field+".path")
}

// pathProblem checks a path modifier. A prefix can be replaced only where it is
// known which one: the rule's one match must be by prefix.
func (r *ruleReader) pathProblem(p *gatewayv1.HTTPPathModifier, field string) *Problem {
	if p == nil {
		return nil
	}
	switch p.Type {
	case gatewayv1.FullPathHTTPPathModifier:
		if p.ReplaceFullPath == nil {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.replaceFullPath: is missing", field)
		}
		return textProblem(*p.ReplaceFullPath, field+".replaceFullPath")
	case gatewayv1.PrefixMatchHTTPPathModifier:
		if p.ReplacePrefixMatch == nil {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.replacePrefixMatch: is missing", field)
		}
		if !r.matchesOnePrefix() {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.replacePrefixMatch: needs exactly one match, of type PathPrefix", field)
		}
		return textProblem(*p.ReplacePrefixMatch, field+".replacePrefixMatch")
	}
	return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use ReplaceFullPath or ReplacePrefixMatch", field, p.Type)
}

func (r *ruleReader) matchesOnePrefix() bool {
	switch m := r.spec.Matches; {
	case len(m) == 0:
		return true
	case len(m) > 1:
		return false
	default:
		return m[0].Path == nil || m[0].Path.Type == nil || *m[0].Path.Type == gatewayv1.PathMatchPathPrefix
	}
}

// headerProblem checks a header modifier: each name once, and none that the
// gateway itself sets, for a wrong length or connection header would let a
// request be read as two.
func headerProblem(f *gatewayv1.HTTPHeaderFilter, field string) *Problem {
	var seen []string
	check := func(at, name, value string) *Problem {
		lower := strings.ToLower(name)
		switch {
		case !tokenForm.MatchString(name):
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %q is not a header name (RFC 9110, 5.6.2)", at, name)
		case slices.Contains(framingHeaders(), lower):
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %s is set by the gateway itself; remove it, and use urlRewrite.hostname for the host", at, name)
		case slices.Contains(seen, lower):
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %s is named twice; keep one action per header", at, name)
		}
		seen = append(seen, lower)
		return textProblem(value, at+".value")
	}
	for i, h := range f.Set {
		if p := check(fmt.Sprintf("%s.set[%d]", field, i), string(h.Name), h.Value); p != nil {
			return p
		}
	}
	for i, h := range f.Add {
		if p := check(fmt.Sprintf("%s.add[%d]", field, i), string(h.Name), h.Value); p != nil {
			return p
		}
	}
	for i, name := range f.Remove {
		if p := check(fmt.Sprintf("%s.remove[%d]", field, i), name, ""); p != nil {
			return p
		}
	}
	return nil
}

func framingHeaders() []string {
	return []string{"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection"}
}

// textProblem refuses control characters, which could end a header line.
func textProblem(value, field string) *Problem {
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: holds a control character; remove it", field)
	}
	return nil
}
