package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/compile/access"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compiledRoute is all that one route brings to the table.
type compiledRoute struct {
	node     *graph.Route
	reached  *attach.RoutePolicies       // by these policies
	clients  []graph.Client              // one per parent
	members  []*member                   // one per attachment, in order
	actions  map[actionKey]*table.Action // nil once it is compiled
	kept     []keptAction                // what actions were: a map for each of thousands of routes takes its room
	policies []*attach.RulePolicies      // distinct
	backends []*table.Backend            // distinct
	rejected []table.Rejection
	at       int    // among the routes of the last build that had it
	build    uint64 // that build
}

// keptAction is an Action with what it depends on.
type keptAction struct {
	key    actionKey
	action *table.Action
}

// member is what one route brings to every host of one listener.
type member struct {
	of     *compiledRoute
	route  *graph.Route
	at     *graph.Attachment
	client graph.Client
	rules  []ranked
}

// actionKey is everything an Action depends on.
type actionKey struct {
	rule     *graph.Rule
	policies *attach.RulePolicies
	matched  string       // the prefix to replace; empty when nothing replaces one
	cookie   string       // the path of the rule's session cookie; empty when it has none
	client   graph.Client // of the Gateway; none where no backend is to see it
}

// routes is what routes were compiled to, and where they stood in the last build.
type routes struct {
	byName  map[graph.ObjectKey]*compiledRoute
	order   []*compiledRoute
	build   uint64         // counts builds
	clients []graph.Client // scratch
}

// changes is how the routes of a build differ from those of the build before.
type changes struct {
	gone, fresh []*compiledRoute // one that changed is in both
}

// compileRoutes compiles the routes that are attached somewhere. Most are where they
// were, behind the same one, so that no name is looked up for them.
func (c *Compiler) compileRoutes(g *graph.Graph, policies *attach.Policies) (out []*compiledRoute, changed changes) {
	all := &c.routes
	all.build++
	out = make([]*compiledRoute, 0, len(all.order)+1)
	next := 0
	for _, r := range g.Routes {
		c.GiveWay()
		if !attached(r) {
			continue
		}
		var now *compiledRoute
		if next < len(all.order) && all.order[next].node == r {
			now = all.order[next]
		} else {
			now = all.byName[r.Key()]
		}
		if now != nil {
			next = now.at + 1
		}
		reached, clients := policies.Routes[r], c.clientsOf(r)
		if now == nil || now.node != r || now.reached != reached || !slices.Equal(now.clients, clients) {
			now = c.compileRoute(&compiledRoute{node: r, reached: reached, clients: slices.Clone(clients)}, now)
			all.byName[r.Key()] = now
			changed.fresh = append(changed.fresh, now)
		}
		now.at, now.build = len(out), all.build
		for _, p := range now.policies {
			c.policies.Touch(p)
		}
		out = append(out, now)
	}
	for _, r := range all.order {
		if r.build == all.build {
			continue
		}
		changed.gone = append(changed.gone, r)
		if key := r.node.Key(); all.byName[key] == r {
			delete(all.byName, key)
		}
	}
	all.order = out
	return out, changed
}

func attached(r *graph.Route) bool {
	for _, p := range r.Parents {
		if len(p.Attached) > 0 {
			return true
		}
	}
	return false
}

// compileRoute compiles a route that changed; Actions whose rule and policies
// did not are kept from the last build.
func (c *Compiler) compileRoute(out, last *compiledRoute) *compiledRoute {
	r := out.node
	out.actions, out.rejected = map[actionKey]*table.Action{}, rejections(r)
	if last != nil {
		for _, k := range last.kept {
			if slices.Contains(r.Rules, k.key.rule) {
				out.actions[k.key] = k.action
			}
		}
	}
	used := make(map[actionKey]*table.Action, len(out.actions))
	for i, p := range r.Parents {
		for _, at := range p.Attached {
			m := &member{of: out, route: r, at: at, client: out.clients[i]}
			for _, rule := range r.Rules {
				rules := c.compileRule(out, rule, m)
				m.rules = append(m.rules, rules...)
				if len(rules) > 0 {
					m.rules = append(m.rules, c.logins(out, m.rules, rules[0])...)
				}
			}
			for _, rule := range m.rules {
				used[rule.key] = rule.rule.Action
			}
			out.members = append(out.members, m)
		}
	}
	out.actions, out.kept = nil, make([]keptAction, 0, len(used))
	for key, a := range used {
		out.kept = append(out.kept, keptAction{key, a})
	}
	out.rejected = append(out.rejected, unguardedRules(used)...)
	for _, rule := range r.Rules {
		out.backends = appendBackends(out.backends, rule, out.clients)
	}
	return out
}

// compileRule returns one table rule per match. A match that can take no
// request is left out; rejections names it.
func (c *Compiler) compileRule(r *compiledRoute, rule *graph.Rule, m *member) (out []ranked) {
	policies := r.reached.Rule(m.at, rule.Index)
	if policies != nil && !slices.Contains(r.policies, policies) {
		r.policies = append(r.policies, policies)
	}
	for i := range rule.Matches {
		match, problem := compileMatch(&rule.Matches[i])
		if problem != "" {
			continue
		}
		key := actionKey{rule, policies, matchedPrefix(rule, match), cookiePath(rule, match), graph.Client{}}
		if overTLS(rule) {
			key.client = m.client
		}
		action := r.actions[key]
		if action == nil {
			action = c.compileAction(r.node, key)
			r.actions[key] = action
		}
		out = append(out, ranked{
			rule:        &table.Rule{Match: match, Action: action},
			key:         key,
			route:       r.node,
			matchIndex:  i,
			prefixBytes: prefixBytes(match),
			method:      methodRank(r.node, rule.Matches[i].Path),
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
	rule := key.rule
	a := &table.Action{
		Route:    routeName(r),
		Rule:     ruleName(rule),
		GRPC:     r.Kind() == spec.KindGRPCRoute,
		Timeouts: table.Timeouts{Request: rule.Request, Backend: rule.Backend},
	}
	c.policies.Fill(a, key.policies)
	filters, problem := compileFilters(rule.Filters, reachable(rule.Asides, key.client), key.matched)
	if rule.Broken != "" || problem != "" {
		a.Reply = &table.Reply{Status: 500, Code: "rule_invalid", Detail: "The route has a rule that cannot be used."}
		return a
	}
	a.Filters = filters
	if r := rule.Retry; r != nil {
		a.Retry = &table.Retry{Attempts: r.Attempts, Codes: r.Codes, Backoff: r.Backoff}
	}
	a.Session = ruleSession(a, rule.Session, key.cookie)
	for _, b := range rule.Backends {
		w := weightedBackend(b, key.matched, key.client)
		if a.Session == nil && w.Reply == nil { // the rule's comes first
			w.Session = backendSession(a, b)
		}
		a.Backends = append(a.Backends, w)
	}
	if noBackend(rule) != "" {
		a.Reply = &table.Reply{Status: 500, Code: "no_backend", Detail: "The route has no backend."}
	}
	return a
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

// unguardedRules lists the rules that are not served because a policy demands
// authentication there and none asks for any.
func unguardedRules(actions map[actionKey]*table.Action) (out []table.Rejection) {
	for key, a := range actions {
		if key.policies == nil || key.policies.Unguarded == nil {
			continue
		}
		r := table.Rejection{Object: a.Route + " rule " + a.Rule, Status: 403, Reason: fmt.Sprintf(
			"%s requires authentication, and no AuthPolicy asks for any here; attach one with authentication, or with public and a reason", access.Name(key.policies.Unguarded.Key))}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b table.Rejection) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason))
	})
	return out
}

func routeName(r *graph.Route) string {
	return r.Kind() + " " + r.Object.Namespace + "/" + spec.OwnerName(r.Object.Name)
}

// ingressRejections lists what of Ingresses cannot be used, beside their rules.
func ingressRejections(g *graph.Graph) (out []table.Rejection) {
	for _, in := range g.Ingresses {
		for _, f := range in.Faults {
			if !f.Table {
				out = append(out, table.Rejection{Object: "Ingress " + in.Object.Namespace + "/" + in.Object.Name, Reason: f.Text, Status: f.Status})
			}
		}
	}
	return out
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
		_, problem := compileFilters(rule.Filters, reachable(rule.Asides, graph.Client{}), "")
		switch {
		case rule.Broken != "":
			reject(500, "%s", rule.Broken)
			continue
		case problem != "":
			reject(500, "%s", problem)
			continue
		}
		if why := noBackend(rule); why != "" && !r.OfIngress() { // of those it is said already
			reject(500, "%s", why)
		}
		for _, b := range rule.Backends {
			if why := unreachable(b); why != "" {
				reject(500, "%s", why)
			} else if _, problem := compileFilters(b.Filters, reachable(b.Asides, graph.Client{}), ""); problem != "" {
				reject(500, "backend %s: %s", backendID(b), problem)
			}
		}
	}
	return out
}
