package compile

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/compile/access"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compileFilters keeps the user's order. matched is the path prefix that a
// prefix replacement replaces. A filter that is not known is a problem of the
// whole rule: Gateway API forbids to skip it. asides are where the RequestMirror
// and ExternalAuth filters among them lead: a mirror that leads nowhere is left
// out, authorization that does is a problem.
func compileFilters(filters []gatewayv1.HTTPRouteFilter, asides []target, matched string) (out []table.Filter, problem string) {
	for i := range filters {
		f := &filters[i]
		switch {
		case f.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier && f.RequestHeaderModifier != nil:
			out = append(out, table.Filter{RequestHeaders: headerEdit(f.RequestHeaderModifier)})
		case f.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier && f.ResponseHeaderModifier != nil:
			out = append(out, table.Filter{ResponseHeaders: headerEdit(f.ResponseHeaderModifier)})
		case f.Type == gatewayv1.HTTPRouteFilterRequestRedirect && f.RequestRedirect != nil:
			out = append(out, table.Filter{Redirect: redirect(f.RequestRedirect, matched)})
		case f.Type == gatewayv1.HTTPRouteFilterURLRewrite && f.URLRewrite != nil:
			out = append(out, table.Filter{Rewrite: rewrite(f.URLRewrite, matched)})
		case f.Type == gatewayv1.HTTPRouteFilterCORS && f.CORS != nil:
			out = append(out, table.Filter{CORS: cors(f.CORS)})
		case f.Type == gatewayv1.HTTPRouteFilterRequestMirror && f.RequestMirror != nil && len(asides) > 0:
			if asides[0] != "" {
				out = append(out, table.Filter{Mirror: mirror(f.RequestMirror, asides[0])})
			}
			asides = asides[1:]
		case f.Type == gatewayv1.HTTPRouteFilterExternalAuth && f.ExternalAuth != nil && len(asides) > 0:
			if asides[0] == "" {
				return nil, fmt.Sprintf("filter %d: the backendRef of its externalAuth cannot be used", i)
			}
			out = append(out, table.Filter{ExternalAuth: access.ExternalFilter(f.ExternalAuth, string(asides[0]))})
			asides = asides[1:]
		default:
			return nil, fmt.Sprintf("filter %d of type %s is not supported", i, f.Type)
		}
	}
	return out, ""
}

func headerEdit(f *gatewayv1.HTTPHeaderFilter) *table.HeaderEdit {
	return &table.HeaderEdit{Set: headerList(f.Set), Add: headerList(f.Add), Remove: f.Remove}
}

func headerList(in []gatewayv1.HTTPHeader) (out []table.Header) {
	for _, h := range in {
		out = append(out, table.Header{Name: string(h.Name), Value: h.Value})
	}
	return out
}

func redirect(f *gatewayv1.HTTPRequestRedirectFilter, matched string) *table.Redirect {
	r := &table.Redirect{Status: 302, Path: pathEdit(f.Path, matched)}
	if f.Scheme != nil {
		r.Scheme = *f.Scheme
	}
	if f.Hostname != nil {
		r.Hostname = string(*f.Hostname)
	}
	if f.Port != nil {
		r.Port = uint16(*f.Port)
	}
	if f.StatusCode != nil {
		r.Status = *f.StatusCode
	}
	return r
}

func rewrite(f *gatewayv1.HTTPURLRewriteFilter, matched string) *table.Rewrite {
	r := &table.Rewrite{Path: pathEdit(f.Path, matched)}
	if f.Hostname != nil {
		r.Hostname = string(*f.Hostname)
	}
	return r
}

func mirror(f *gatewayv1.HTTPRequestMirrorFilter, to target) *table.Mirror {
	m := &table.Mirror{Backend: string(to)}
	m.Numerator, m.Denominator = spec.MirrorShare(f)
	return m
}

func cors(f *gatewayv1.HTTPCORSFilter) *table.CORS {
	return &table.CORS{
		Origins:       texts(f.AllowOrigins),
		Methods:       texts(f.AllowMethods),
		Headers:       texts(f.AllowHeaders),
		ExposeHeaders: texts(f.ExposeHeaders),
		Credentials:   f.AllowCredentials != nil && *f.AllowCredentials,
		MaxAge:        f.MaxAge,
	}
}

func texts[T ~string](in []T) (out []string) {
	for _, v := range in {
		out = append(out, string(v))
	}
	return out
}

func pathEdit(m *gatewayv1.HTTPPathModifier, matched string) *table.PathEdit {
	switch {
	case m == nil:
		return nil
	case m.Type == gatewayv1.FullPathHTTPPathModifier:
		return &table.PathEdit{Full: m.ReplaceFullPath}
	}
	return &table.PathEdit{Prefix: m.ReplacePrefixMatch, Matched: matched}
}

// replacesPrefix says whether what the filters do depends on the prefix that
// was matched, so that matches with other prefixes need an Action of their own.
func replacesPrefix(filters []gatewayv1.HTTPRouteFilter) bool {
	for i := range filters {
		f := &filters[i]
		if f.RequestRedirect != nil && ofPrefix(f.RequestRedirect.Path) || f.URLRewrite != nil && ofPrefix(f.URLRewrite.Path) {
			return true
		}
	}
	return false
}

func ofPrefix(m *gatewayv1.HTTPPathModifier) bool {
	return m != nil && m.Type == gatewayv1.PrefixMatchHTTPPathModifier
}
