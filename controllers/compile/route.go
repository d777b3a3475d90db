package compile

import (
	"fmt"
	"strconv"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// memberKey names what one route brings to the hosts of one listener.
type memberKey struct {
	route      *graph.Route
	attachment *graph.Attachment
}

// member is what one route brings to every host of one listener.
type member struct {
	route *graph.Route
	rules []ranked
}

// actionKey is everything an Action depends on.
type actionKey struct {
	rule     *graph.Rule
	policies *graph.RulePolicies
	matched  string // the prefix to replace; empty when nothing replaces one
}

func attached(r *graph.Route) bool {
	for _, p := range r.Parents {
		if len(p.Attached) > 0 {
			return true
		}
	}
	return false
}

func (c *Compiler) compileMember(r *graph.Route, a *graph.Attachment) *member {
	k := memberKey{r, a}
	m, ok := c.members.last[k]
	if ok {
		for _, r := range m.rules { // what it was made of is still in use
			c.actions.now[r.key] = r.rule.Action
			c.policies.touch(r.key.policies)
		}
	} else {
		m = &member{route: r}
		for _, rule := range r.Rules {
			m.rules = append(m.rules, c.compileRule(r, rule, a)...)
		}
	}
	c.members.now[k] = m
	return m
}

// compileRule returns one table rule per match. A match that can take no
// request is left out; rejections names it.
func (c *Compiler) compileRule(r *graph.Route, rule *graph.Rule, a *graph.Attachment) (out []ranked) {
	var policies *graph.RulePolicies
	if rule.Index < len(a.Policies) {
		policies = a.Policies[rule.Index]
	}
	for i := range rule.Matches {
		match, problem := compileMatch(&rule.Matches[i])
		if problem != "" {
			continue
		}
		key := actionKey{rule, policies, matchedPrefix(rule, match)}
		out = append(out, ranked{
			rule:        &table.Rule{Match: match, Action: c.compileAction(r, key)},
			key:         key,
			route:       r,
			matchIndex:  i,
			prefixBytes: prefixBytes(match),
		})
	}
	return out
}

func prefixBytes(m table.Match) int {
	if m.Path.Kind == table.PathPrefix {
		return len(m.Path.Value)
	}
	return 0
}

// matchedPrefix is the prefix that the rule's filters replace, if any does.
func matchedPrefix(rule *graph.Rule, m table.Match) string {
	needed := replacesPrefix(rule.Filters)
	for _, b := range rule.Backends {
		needed = needed || replacesPrefix(b.Filters)
	}
	switch {
	case !needed:
		return ""
	case m.Path.Kind == table.PathPrefix:
		return m.Path.Value
	}
	return "/"
}

func (c *Compiler) compileAction(r *graph.Route, key actionKey) *table.Action {
	c.policies.touch(key.policies)
	return c.actions.get(key, func() *table.Action {
		rule, matched := key.rule, key.matched
		a := &table.Action{
			Route:    routeName(r),
			Rule:     ruleName(rule),
			Timeouts: table.Timeouts{Request: rule.Request, Backend: rule.Backend},
		}
		var problem string
		if a.Filters, problem = compileFilters(rule.Filters, matched); rule.Broken != "" || problem != "" {
			a.Filters = nil
			a.Reply = &table.Reply{Status: 500, Code: "rule_invalid", Detail: "The route has a rule that cannot be used."}
		} else {
			for _, b := range rule.Backends {
				a.Backends = append(a.Backends, weightedBackend(b, matched))
			}
			if noBackend(rule) != "" {
				a.Reply = &table.Reply{Status: 500, Code: "no_backend", Detail: "The route has no backend."}
			}
		}
		c.policies.fill(a, key.policies)
		return a
	})
}

// noBackend says why a rule has nowhere to send a request, if so.
func noBackend(rule *graph.Rule) string {
	for i := range rule.Filters {
		if rule.Filters[i].Type == gatewayv1.HTTPRouteFilterRequestRedirect {
			return ""
		}
	}
	if len(rule.Backends) == 0 {
		return "it has no backendRefs and no redirect"
	}
	for _, b := range rule.Backends {
		if b.Weight > 0 {
			return ""
		}
	}
	return "the weights of its backendRefs are all 0"
}

func routeName(r *graph.Route) string {
	return "HTTPRoute " + r.Object.Namespace + "/" + r.Object.Name
}

func ruleName(rule *graph.Rule) string {
	if rule.Name != "" {
		return rule.Name
	}
	return strconv.Itoa(rule.Index)
}

// rejections lists what of a route cannot be used and what its callers get.
func rejections(r *graph.Route) (out []table.Rejection) {
	for _, rule := range r.Rules {
		reject := func(status int, format string, args ...any) {
			out = append(out, table.Rejection{
				Object: routeName(r) + " rule " + ruleName(rule),
				Reason: fmt.Sprintf(format, args...),
				Status: status,
			})
		}
		for i := range rule.Matches {
			if _, problem := compileMatch(&rule.Matches[i]); problem != "" {
				reject(0, "match %d: %s", i, problem)
			}
		}
		_, problem := compileFilters(rule.Filters, "")
		switch {
		case rule.Broken != "":
			reject(500, "%s", rule.Broken)
			continue
		case problem != "":
			reject(500, "%s", problem)
			continue
		}
		if why := noBackend(rule); why != "" {
			reject(500, "%s", why)
		}
		for _, b := range rule.Backends {
			if b.Broken != "" {
				reject(500, "%s", b.Broken)
			} else if _, problem := compileFilters(b.Filters, ""); problem != "" {
				reject(500, "backend %s: %s", backendID(b), problem)
			}
		}
	}
	return out
}
