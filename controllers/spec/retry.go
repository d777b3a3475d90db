package spec

import (
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Retry is how a rule's requests are tried again (GEP-1731).
type Retry struct {
	Attempts int // beyond the first
	Codes    []int
	Backoff  time.Duration // 0: as the proxy likes
}

// maxAttempts bounds what one request may cost the backends.
const maxAttempts = 20

// retry reads a rule's retry; without attempts there is one.
func (r *ruleReader) retry() {
	in := r.spec.Retry
	if in == nil {
		return
	}
	out := &Retry{Attempts: 1}
	if in.Attempts != nil {
		out.Attempts = *in.Attempts
	}
	if out.Attempts < 0 || out.Attempts > maxAttempts {
		r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.retry.attempts: %d is not between 0 and %d", r.field, out.Attempts, maxAttempts))
		return
	}
	for i, code := range in.Codes {
		if code < 400 || code > 599 {
			r.breaks(Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.retry.codes[%d]: %d is not between 400 and 599", r.field, i, code))
			return
		}
		out.Codes = append(out.Codes, int(code))
	}
	slices.Sort(out.Codes)
	out.Backoff = r.duration("retry.backoff", in.Backoff)
	r.rule.Retry = out
}
