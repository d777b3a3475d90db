package compile

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// loginKey sets the action of a rule's logins apart; no prefix is like it.
const loginKey = "oidc"

// logins returns what takes the paths that oidc methods of a rule's policy
// answer themselves: a browser must come back to them whatever the rule itself
// matches. They are of the rule, so that the most specific of a host goes first
// as it does anyway. For each member one is enough for each path and policy.
func (c *Compiler) logins(r *compiledRoute, members []ranked, rule ranked) (out []ranked) {
	guarded := rule.rule.Action
	if guarded.Auth == nil || guarded.GRPC {
		return nil
	}
	for i := range guarded.Auth.Methods {
		o := guarded.Auth.Methods[i].OIDC
		if o == nil {
			continue
		}
		o.Paths.Each(func(path string) {
			taken := func(other ranked) bool {
				return other.key.matched == loginKey && other.rule.Match.Path.Value == path && other.rule.Action.Auth == guarded.Auth
			}
			if slices.ContainsFunc(members, taken) || slices.ContainsFunc(out, taken) {
				return
			}
			key := actionKey{rule: rule.key.rule, policies: rule.key.policies, matched: loginKey}
			action := r.actions[key]
			if action == nil {
				action = &table.Action{Route: guarded.Route, Rule: guarded.Rule, Auth: guarded.Auth}
				r.actions[key] = action
			}
			out = append(out, ranked{
				rule: &table.Rule{Match: table.Match{Path: table.PathMatch{Kind: table.PathExact, Value: path}}, Action: action},
				key:  key, route: rule.route, matchIndex: rule.matchIndex,
			})
		})
	}
	return out
}
