package spec

import (
	"slices"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Session is how callers are kept at the endpoint they met first (GEP-1619).
type Session struct {
	Name      string // of the cookie or header; "": whatever is unique
	Header    bool   // by a header; else by a cookie
	Permanent bool   // the cookie outlives the browser, for Timeout
	Timeout   time.Duration
}

// maxSessionName is the schema's.
const maxSessionName = 128

// readSession reads a sessionPersistence that stands in a field; nil for none.
func readSession(in *gatewayv1.SessionPersistence, field string) (*Session, *Problem) {
	if in == nil {
		return nil, nil
	}
	out := &Session{Name: text(in.SessionName)}
	kind := gatewayv1.SessionPersistenceType(kindOf(in.Type, gatewayv1.CookieBasedSessionPersistence))
	switch kind {
	case gatewayv1.CookieBasedSessionPersistence:
	case gatewayv1.HeaderBasedSessionPersistence:
		out.Header = true
	default:
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.type: %q is not supported; use Cookie or Header", field, kind)
	}
	if p := sessionNameProblem(out, field+".sessionName"); p != nil {
		return nil, p
	}
	var p *Problem
	if out.Timeout, p = Duration(in.AbsoluteTimeout, field+".absoluteTimeout"); p != nil {
		return nil, p
	}
	if in.AbsoluteTimeout != nil && out.Timeout == 0 {
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.absoluteTimeout: %s is no time at all; remove it for sessions without an end", field, *in.AbsoluteTimeout)
	}
	if in.CookieConfig == nil {
		return out, nil
	}
	lifetime := gatewayv1.CookieLifetimeType(kindOf(in.CookieConfig.LifetimeType, gatewayv1.SessionCookieLifetimeType))
	out.Permanent = lifetime == gatewayv1.PermanentCookieLifetimeType
	switch {
	case out.Header:
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.cookieConfig: goes with type Cookie only; remove it", field)
	case !out.Permanent && lifetime != gatewayv1.SessionCookieLifetimeType:
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.cookieConfig.lifetimeType: %q is not supported; use Session or Permanent", field, lifetime)
	case out.Permanent && out.Timeout == 0:
		return nil, Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.absoluteTimeout: is missing; a Permanent cookie needs it", field)
	}
	return out, nil
}

// sessionNameProblem checks the name of a cookie (RFC 6265, section 4.1.1) or header.
func sessionNameProblem(s *Session, field string) *Problem {
	lower := strings.ToLower(s.Name)
	switch {
	case s.Name == "":
		return nil
	case len(s.Name) > maxSessionName:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: has %d characters, %d are allowed", field, len(s.Name), maxSessionName)
	case !tokenForm.MatchString(s.Name):
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %q is not a name of a cookie or header (RFC 9110, 5.6.2)", field, s.Name)
	case s.Header && (slices.Contains(framingHeaders(), lower) || lower == "cookie" || lower == "set-cookie" || lower == "authorization"):
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: %s has a meaning of its own; use another name", field, s.Name)
	case !s.Header && (strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-")):
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: browsers take %s only with attributes that it may not get here; use a name without the prefix", field, s.Name)
	}
	return nil
}
