package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// tokenForm is a header name (RFC 9110, 5.6.2).
var tokenForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// pathForm is what an exact or prefix path may hold (HTTPPathMatch).
var pathForm = regexp.MustCompile(`^/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$`)

// matches keeps the matches of the rule that can be used, with their defaults.
// One that cannot breaks the rule.
func (r *ruleReader) matches() {
	specs := r.spec.Matches
	if len(specs) == 0 {
		specs = []gatewayv1.HTTPRouteMatch{{}}
	}
	r.rule.Matches = make([]gatewayv1.HTTPRouteMatch, 0, len(specs))
	for i := range specs {
		at := fmt.Sprintf("%s.matches[%d]", r.field, i)
		if r.grpc {
			if p := methodProblem(specs[i].Path, at+".method"); p != nil {
				r.breaks(p)
				continue
			}
		}
		m, p := normalMatch(&specs[i], at)
		if p != nil {
			r.breaks(p)
			continue
		}
		r.rule.Matches = append(r.rule.Matches, m)
	}
}

func normalMatch(spec *gatewayv1.HTTPRouteMatch, field string) (m gatewayv1.HTTPRouteMatch, p *Problem) {
	m.Method = spec.Method
	if m.Method != nil && !slices.Contains(methods(), *m.Method) {
		return m, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.method: %q is not one of %v", field, *m.Method, methods())
	}
	if m.Path, p = normalPath(spec.Path, field+".path"); p != nil {
		return m, p
	}
	for i, h := range spec.Headers {
		at := fmt.Sprintf("%s.headers[%d]", field, i)
		if !tokenForm.MatchString(string(h.Name)) {
			return m, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.name: %q is not a header name (RFC 9110, 5.6.2)", at, h.Name)
		}
		if p := valueProblem(kindOf(h.Type, gatewayv1.HeaderMatchExact), h.Value, at); p != nil {
			return m, p
		}
		// Of equivalent names only the first counts (HTTPHeaderMatch.Name).
		if !slices.ContainsFunc(m.Headers, func(o gatewayv1.HTTPHeaderMatch) bool { return strings.EqualFold(string(o.Name), string(h.Name)) }) {
			m.Headers = append(m.Headers, h)
		}
	}
	for i, q := range spec.QueryParams {
		at := fmt.Sprintf("%s.queryParams[%d]", field, i)
		if q.Name == "" {
			return m, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.name: is empty; name a query parameter", at)
		}
		if p := valueProblem(kindOf(q.Type, gatewayv1.QueryParamMatchExact), q.Value, at); p != nil {
			return m, p
		}
		if !slices.ContainsFunc(m.QueryParams, func(o gatewayv1.HTTPQueryParamMatch) bool { return o.Name == q.Name }) {
			m.QueryParams = append(m.QueryParams, q)
		}
	}
	return m, nil
}

func normalPath(spec *gatewayv1.HTTPPathMatch, field string) (*gatewayv1.HTTPPathMatch, *Problem) {
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if spec != nil && spec.Type != nil {
		kind = *spec.Type
	}
	if spec != nil && spec.Value != nil {
		value = *spec.Value
	}
	switch kind {
	case gatewayv1.PathMatchExact, gatewayv1.PathMatchPathPrefix:
		if !CleanPath(value) {
			return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue,
				"%s.value: %q is not a plain absolute path; it must start with / and hold no //, /./, /../, %%2f or #", field, value)
		}
	case gatewayv1.PathMatchRegularExpression:
		if p := regexProblem(value, field); p != nil {
			return nil, p
		}
	default:
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use Exact, PathPrefix or RegularExpression", field, kind)
	}
	return &gatewayv1.HTTPPathMatch{Type: &kind, Value: &value}, nil
}

// CleanPath checks what the schema of HTTPPathMatch asks of a path.
func CleanPath(path string) bool {
	if !pathForm.MatchString(path) || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
		return false
	}
	for _, not := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(path, not) {
			return false
		}
	}
	return true
}

// kindOf gives a match type its default.
func kindOf[T ~string](t *T, otherwise T) string {
	if t == nil {
		return string(otherwise)
	}
	return string(*t)
}

// valueProblem checks the value of a header or query match; both kinds of match
// have the same two types.
func valueProblem(kind, value, field string) *Problem {
	switch kind {
	case string(gatewayv1.HeaderMatchExact):
		return nil
	case string(gatewayv1.HeaderMatchRegularExpression):
		return regexProblem(value, field)
	}
	return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use Exact or RegularExpression", field, kind)
}

// regexProblem checks a regular expression by itself, or a parenthesis of it could close the
// group that it is anchored by, and then anchored, as it is used.
func regexProblem(value, field string) *Problem {
	for _, expr := range [...]string{value, `\A(?:` + value + `)\z`} {
		if _, err := regexp.Compile(expr); err != nil {
			return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.value: not a regular expression in RE2 syntax: %v", field, err)
		}
	}
	return nil
}

func methods() []gatewayv1.HTTPMethod {
	return []gatewayv1.HTTPMethod{
		gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodHead, gatewayv1.HTTPMethodPost, gatewayv1.HTTPMethodPut, gatewayv1.HTTPMethodDelete,
		gatewayv1.HTTPMethodConnect, gatewayv1.HTTPMethodOptions, gatewayv1.HTTPMethodTrace, gatewayv1.HTTPMethodPatch,
	}
}
