package spec

import (
	"fmt"
	"regexp"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The limits of the HTTPRoute schema.
const (
	maxRules   = 16
	maxMatches = 128 // of one route, over all rules
	maxWeight  = 1_000_000
)

// Rule is one rule of a route, read by itself.
type Rule struct {
	Spec    *gatewayv1.HTTPRouteRule
	Matches []gatewayv1.HTTPRouteMatch // those that can be used, with their defaults
	Request time.Duration              // timeouts.request, 0 for none
	Backend time.Duration              // timeouts.backendRequest, 0 for none
	Retry   *Retry                     // nil for none
	Session *Session                   // nil for none
	Broken  *Problem                   // the rule cannot be used; the first problem that was found
	Unknown []*Problem                 // references to what nobody knows, beside its backends
}

// Rules reads the rules of a route. One that is broken leaves the others be.
func Rules(route *gatewayv1.HTTPRoute) []Rule {
	specs := route.Spec.Rules
	if len(specs) == 0 {
		specs = []gatewayv1.HTTPRouteRule{{}} // takes everything, has no backend
	}
	tooLarge := limits(route, specs)
	names := map[gatewayv1.SectionName]int{}
	out := make([]Rule, len(specs))
	for i := range specs {
		r := ruleReader{spec: &specs[i], grpc: RouteKind(route) == KindGRPCRoute, field: fmt.Sprintf("spec.rules[%d]", i)}
		r.rule = Rule{Spec: r.spec, Broken: tooLarge}
		if name := r.spec.Name; name != nil {
			if first, used := names[*name]; used {
				r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.name: spec.rules[%d] is named %s too; names must differ", r.field, first, *name))
			} else {
				names[*name] = i
			}
		}
		r.read()
		out[i] = r.rule
	}
	return out
}

// limits are of the schema; nobody wrote the form of an Ingress by it.
func limits(route *gatewayv1.HTTPRoute, rules []gatewayv1.HTTPRouteRule) *Problem {
	if RouteKind(route) == KindIngress {
		return nil
	}
	matches := 0
	for i := range rules {
		matches += len(rules[i].Matches)
	}
	switch {
	case len(rules) > maxRules:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules: has %d entries, %d are allowed; split the route", len(rules), maxRules)
	case matches > maxMatches:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "spec.rules: have %d matches together, %d are allowed; split the route", matches, maxMatches)
	}
	return nil
}

// ruleReader reads one rule.
type ruleReader struct {
	spec  *gatewayv1.HTTPRouteRule
	field string // "spec.rules[0]"
	grpc  bool   // of a GRPCRoute
	rule  Rule
}

func (r *ruleReader) breaks(p *Problem) {
	if r.rule.Broken == nil {
		r.rule.Broken = p
	}
}

func (r *ruleReader) read() {
	r.matches()
	r.filters(r.field+".filters", r.spec.Filters, len(r.spec.BackendRefs) > 0, false)
	for i := range r.spec.BackendRefs {
		ref, at := &r.spec.BackendRefs[i], fmt.Sprintf("%s.backendRefs[%d]", r.field, i)
		if ref.Weight != nil && (*ref.Weight < 0 || *ref.Weight > maxWeight) {
			r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.weight: %d is not between 0 and %d", at, *ref.Weight, maxWeight))
		}
		r.filters(at+".filters", ref.Filters, false, true)
	}
	r.retry()
	session, p := readSession(r.spec.SessionPersistence, r.field+".sessionPersistence")
	if p != nil {
		r.breaks(p)
	}
	r.rule.Session = session
	if t := r.spec.Timeouts; t != nil {
		r.rule.Request = r.duration("timeouts.request", t.Request)
		r.rule.Backend = r.duration("timeouts.backendRequest", t.BackendRequest)
		if r.rule.Request > 0 && r.rule.Backend > r.rule.Request {
			r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue,
				"%s.timeouts.backendRequest: %s is longer than request, %s; shorten it", r.field, *t.BackendRequest, *t.Request))
		}
	}
}

// durationForm is what GEP-2257 allows of time.ParseDuration's syntax.
var durationForm = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// Duration reads a duration that stands in a field; none and 0s are both 0.
func Duration(d *gatewayv1.Duration, field string) (time.Duration, *Problem) {
	if d == nil {
		return 0, nil
	}
	parsed, err := time.ParseDuration(string(*d))
	if err != nil || !durationForm.MatchString(string(*d)) {
		return 0, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %q is not a duration; write 500ms, 10s or 1m30s", field, *d)
	}
	return parsed, nil
}

// duration is Duration in a field of the rule.
func (r *ruleReader) duration(name string, d *gatewayv1.Duration) time.Duration {
	parsed, p := Duration(d, r.field+"."+name)
	if p != nil {
		r.breaks(p)
	}
	return parsed
}
