package policy

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// CheckMetadata tells bad what of m cannot be meant, and where.
func CheckMetadata(m *v1alpha1.MetadataStep, bad func(field, why string)) {
	duration := func(field string, d *gatewayv1.Duration, least, most time.Duration) {
		if d == nil {
			return
		}
		if v, err := time.ParseDuration(string(*d)); err != nil || v < least || v > most {
			bad(field, fmt.Sprintf("%q is not a duration from %v to %v", string(*d), least, most))
		}
	}
	duration(".timeout", m.Timeout, time.Millisecond, time.Minute)
	if c := m.Cache; c != nil {
		duration(".cache.ttl", c.TTL, time.Millisecond, time.Hour)
		duration(".cache.onError", c.OnError, 0, time.Hour)
		if c.Key != nil && m.UserInfo != nil {
			bad(".cache.key", "what is known of a user is kept by their token; remove it")
		}
	}
	address := func(field string, text *string) {
		if text == nil {
			return
		}
		if u, err := url.Parse(*text); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
			bad(field, fmt.Sprintf("%q is not an absolute http or https URL without user and fragment", *text))
		}
	}
	if (m.HTTP == nil) == (m.UserInfo == nil) {
		bad("", "set exactly one of http and userInfo")
	}
	if u := m.UserInfo; u != nil {
		address(".userInfo.issuer", u.Issuer)
		address(".userInfo.url", u.URL)
		if (u.Issuer == nil) == (u.URL == nil) {
			bad(".userInfo", "set exactly one of issuer and url")
		}
	}
	h := m.HTTP
	if h == nil {
		return
	}
	address(".http.url", h.URL)
	if (h.BackendRef == nil) == (h.URL == nil) {
		bad(".http", "set exactly one of backendRef and url")
	}
	if h.Body != nil && h.Method != "POST" {
		bad(".http.body", "a body goes with method POST")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		switch v := h.Headers[name]; {
		case (v.CEL == nil) == (v.Value == nil):
			bad(".http.headers."+name, "set exactly one of cel and value")
		case h.SecretHeader != nil && strings.EqualFold(name, string(h.SecretHeader.Header)):
			bad(".http.headers."+name, "secretHeader sets this header too; remove one")
		}
	}
}

// MetadataExpressions calls value with each expression of m that is to come to a
// text, and claim with what may come to anything JSON has a word for.
func MetadataExpressions(m *v1alpha1.MetadataStep, value, claim func(field string, e v1alpha1.Expression)) {
	some := func(do func(string, v1alpha1.Expression), field string, e *v1alpha1.Expression) {
		if e != nil {
			do(field, *e)
		}
	}
	if m.Cache != nil {
		some(value, ".cache.key", m.Cache.Key)
	}
	h := m.HTTP
	if h == nil {
		return
	}
	some(value, ".http.path", h.Path)
	for _, name := range slices.Sorted(maps.Keys(h.Query)) {
		value(".http.query."+name, h.Query[name])
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		some(value, ".http.headers."+name+".cel", h.Headers[name].CEL)
	}
	some(claim, ".http.body", h.Body)
}

// Unfetched says what is wrong where expressions read metadata that no step
// fetches; empty for nothing. reads has the field of one such expression by the name
// it reads.
func Unfetched(reads map[string]string, steps []string) string {
	for _, name := range slices.Sorted(maps.Keys(reads)) {
		switch {
		case slices.Contains(steps, name):
		case len(steps) == 0:
			return fmt.Sprintf("%s: there is no metadata.%s; no step fetches any", reads[name], name)
		default:
			return fmt.Sprintf("%s: there is no metadata.%s; there is metadata.%s", reads[name], name, strings.Join(steps, ", metadata."))
		}
	}
	return ""
}
