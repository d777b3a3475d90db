package compile

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// ranked is a table rule with what its place among the others depends on.
type ranked struct {
	rule        *table.Rule
	key         actionKey
	route       *graph.Route
	matchIndex  int
	prefixBytes int
	method      [2]int // of a GRPCRoute: characters of service and method that are matched
}

// comparePrecedence is the order of HTTPRouteMatch in Gateway API: exact paths,
// then regular expressions, then prefixes from the longest; then a method, more
// header matches, more query matches; then the older route, its namespace and
// name, and the order within it. GRPCRoutes, which share no host with HTTPRoutes,
// go by the characters of service and of method instead of by path.
func comparePrecedence(a, b ranked) int {
	am, bm := &a.rule.Match, &b.rule.Match
	path := cmp.Or(cmp.Compare(am.Path.Kind, bm.Path.Kind), cmp.Compare(b.prefixBytes, a.prefixBytes))
	if a.route.Kind() == spec.KindGRPCRoute && b.route.Kind() == spec.KindGRPCRoute {
		path = slices.Compare(b.method[:], a.method[:])
	}
	return cmp.Or(
		path,
		cmp.Compare(min(len(bm.Method), 1), min(len(am.Method), 1)),
		cmp.Compare(len(bm.Headers), len(am.Headers)),
		cmp.Compare(len(bm.Query), len(am.Query)),
		compareRoutes(a.route, b.route),
		cmp.Compare(a.key.rule.Index, b.key.rule.Index),
		cmp.Compare(a.matchIndex, b.matchIndex),
	)
}

// methodRank is ranked.method.
func methodRank(route *graph.Route, path *gatewayv1.HTTPPathMatch) (out [2]int) {
	if route.Kind() == spec.KindGRPCRoute && path != nil && path.Type != nil && path.Value != nil {
		out[0], out[1] = spec.MethodRank(*path.Type, *path.Value)
	}
	return out
}

func compareRoutes(a, b *graph.Route) int {
	ao, bo := a.Object, b.Object
	return cmp.Or(ao.CreationTimestamp.Compare(bo.CreationTimestamp.Time),
		strings.Compare(ao.Namespace, bo.Namespace), strings.Compare(ao.Name, bo.Name))
}

// compileMatch compiles one match. The problem is set when a regular
// expression of it cannot be compiled: such a match can take no request.
func compileMatch(m *gatewayv1.HTTPRouteMatch) (out table.Match, problem string) {
	out.Path = table.PathMatch{Kind: table.PathPrefix, Value: "/"}
	if m.Path != nil {
		if out.Path, problem = compilePath(m.Path); problem != "" {
			return out, problem
		}
	}
	if m.Method != nil {
		out.Method = string(*m.Method)
	}
	for _, h := range m.Headers {
		v, problem := compileValue(strings.ToLower(string(h.Name)), h.Value, h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression)
		if problem != "" {
			return out, "header " + problem
		}
		out.Headers = appendFirst(out.Headers, v)
	}
	for _, q := range m.QueryParams {
		v, problem := compileValue(string(q.Name), q.Value, q.Type != nil && *q.Type == gatewayv1.QueryParamMatchRegularExpression)
		if problem != "" {
			return out, "query " + problem
		}
		out.Query = appendFirst(out.Query, v)
	}
	return out, ""
}

// appendFirst adds v unless its name is there: of equal names, the first counts.
func appendFirst(vs []table.ValueMatch, v table.ValueMatch) []table.ValueMatch {
	for _, have := range vs {
		if have.Name == v.Name {
			return vs
		}
	}
	return append(vs, v)
}

func compilePath(p *gatewayv1.HTTPPathMatch) (table.PathMatch, string) {
	value, kind := "/", gatewayv1.PathMatchPathPrefix
	if p.Value != nil {
		value = *p.Value
	}
	if p.Type != nil {
		kind = *p.Type
	}
	switch kind {
	case gatewayv1.PathMatchExact:
		return table.PathMatch{Kind: table.PathExact, Value: value}, ""
	case gatewayv1.PathMatchRegularExpression:
		return table.PathMatch{Kind: table.PathRegex, Value: value}, regexProblem("path", value)
	case gatewayv1.PathMatchPathPrefix:
		return table.PathMatch{Kind: table.PathPrefix, Value: trimPrefix(value)}, ""
	}
	return table.PathMatch{}, fmt.Sprintf("path match type %q is not supported", kind)
}

// trimPrefix removes the slash at the end of a prefix: /a/ and /a take the same paths.
func trimPrefix(prefix string) string {
	if t := strings.TrimRight(prefix, "/"); t != "" {
		return t
	}
	return "/"
}

func compileValue(name, value string, regex bool) (table.ValueMatch, string) {
	if !regex {
		return table.ValueMatch{Name: name, Value: value}, ""
	}
	return table.ValueMatch{Name: name, Kind: table.ValueRegex, Value: value}, regexProblem(name, value)
}

func regexProblem(what, expr string) string {
	if _, err := regexp.Compile(expr); err != nil {
		return fmt.Sprintf("%s: %v", what, err)
	}
	return ""
}
