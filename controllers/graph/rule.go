package graph

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// The limits of the HTTPRoute schema, which objects from manifests have not met.
const (
	maxRules   = 16
	maxMatches = 128 // of one route, over all rules
)

// outcome is what became of the rules of a route, and what its parents' statuses
// say of that.
type outcome struct {
	rules    []*Rule
	refused  *problem // every rule is broken
	dropped  *problem // some are
	resolved metav1.Condition
	note     string // what the accepted route asks for in vain
}

// resolveRules resolves each rule by itself: a broken one leaves the others be.
func resolveRules(r *store.Reader, route *gatewayv1.HTTPRoute) outcome {
	specs := route.Spec.Rules
	if len(specs) == 0 {
		specs = []gatewayv1.HTTPRouteRule{{}}
	}
	var o outcome
	var broken, unresolved []*problem
	tooLarge := routeProblem(specs)
	names := map[gatewayv1.SectionName]int{}
	for i := range specs {
		rr := ruleResolver{reader: r, route: route, spec: &specs[i], index: i, broken: tooLarge}
		rule := rr.resolve()
		if name := specs[i].Name; name != nil {
			if first, used := names[*name]; used {
				rr.breakRule(problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.name: spec.rules[%d] is named %s too; names must differ", rr.field(), first, *name))
			} else {
				names[*name] = i
			}
		}
		if rr.broken != nil {
			rule.Broken = rr.broken.text
			broken = append(broken, rr.broken)
		}
		unresolved = append(unresolved, rr.unresolved...)
		if specs[i].Retry != nil || specs[i].SessionPersistence != nil {
			o.note = "; retry and sessionPersistence are not supported and have no effect"
		}
		o.rules = append(o.rules, rule)
	}
	switch all := sentences(broken); {
	case tooLarge != nil:
		o.refused = tooLarge
	case len(broken) == len(specs):
		o.refused = all
	case all != nil:
		o.dropped = &problem{all.reason, "Dropped Rule: " + all.text + "; its requests get 500"}
	}
	o.resolved = yes(gatewayv1.RouteConditionResolvedRefs, gatewayv1.RouteReasonResolvedRefs, "all references are resolved")
	if all := sentences(unresolved); all != nil {
		o.resolved = no(gatewayv1.RouteConditionResolvedRefs, all.reason, all.text)
	}
	return o
}

func routeProblem(rules []gatewayv1.HTTPRouteRule) *problem {
	matches := 0
	for i := range rules {
		matches += len(rules[i].Matches)
	}
	switch {
	case len(rules) > maxRules:
		return problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules: has %d entries, %d are allowed; split the route", len(rules), maxRules)
	case matches > maxMatches:
		return problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules: have %d matches together, %d are allowed; split the route", matches, maxMatches)
	}
	return nil
}

// ruleResolver resolves one rule.
type ruleResolver struct {
	reader     *store.Reader
	route      *gatewayv1.HTTPRoute
	spec       *gatewayv1.HTTPRouteRule
	index      int
	broken     *problem // the first that was found
	unresolved []*problem
}

func (rr *ruleResolver) field() string { return fmt.Sprintf("spec.rules[%d]", rr.index) }

func (rr *ruleResolver) breakRule(p *problem) {
	if rr.broken == nil {
		rr.broken = p
	}
}

func (rr *ruleResolver) resolve() *Rule {
	rule := &Rule{Index: rr.index, Filters: rr.spec.Filters}
	if rr.spec.Name != nil {
		rule.Name = string(*rr.spec.Name)
	}
	rule.Matches = rr.matches()
	rr.filters(rr.field()+".filters", rr.spec.Filters, len(rr.spec.BackendRefs) > 0, false)
	for i := range rr.spec.BackendRefs {
		rule.Backends = append(rule.Backends, rr.backend(i))
	}
	if t := rr.spec.Timeouts; t != nil {
		rule.Request = rr.timeout("request", t.Request)
		rule.Backend = rr.timeout("backendRequest", t.BackendRequest)
		if rule.Request > 0 && rule.Backend > rule.Request {
			rr.breakRule(problemf(gatewayv1.RouteReasonUnsupportedValue,
				"%s.timeouts.backendRequest: %s is longer than request, %s; shorten it", rr.field(), *t.BackendRequest, *t.Request))
		}
	}
	return rule
}

// durationForm is what GEP-2257 allows of time.ParseDuration's syntax.
var durationForm = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// timeout parses a duration; none and 0s are both no timeout.
func (rr *ruleResolver) timeout(name string, d *gatewayv1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	parsed, err := time.ParseDuration(string(*d))
	if err != nil || !durationForm.MatchString(string(*d)) {
		rr.breakRule(problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.timeouts.%s: %q is not a duration; write 500ms, 10s or 1m30s", rr.field(), name, *d))
		return 0
	}
	return parsed
}

// list writes a few values for a message: "80, 443", or "none".
func list(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	if len(values) > maxSentences {
		return strings.Join(values[:maxSentences], ", ") + " and more"
	}
	return strings.Join(values, ", ")
}
