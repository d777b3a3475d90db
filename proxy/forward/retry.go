package forward

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// The waits between the tries of a rule with a retry (GEP-1731): the first is
// the rule's backoff, each further one twice the one before; jitter of up to a
// quarter comes on top.
const (
	defaultBackoff = 25 * time.Millisecond
	longestGrowth  = 4 // doublings
	longestBackoff = time.Minute
)

// persist asks again as the rule says, as long as the request is staged in whole and
// nothing has gone to the client. err is the first try's; what is left in the end is
// the last one's answer, or its error.
func (t *transfer) persist(err error) error {
	for try := 0; try < t.d.Retry.Attempts && t.repeats(err); try++ {
		if b := t.d.Upstream.Budget(); b != nil && !b.Retry(time.Now()) {
			return errOverBudget
		}
		if !t.wait(try) {
			return err
		}
		t.call.Again()
		t.again()
		err = t.ask()
	}
	return err
}

// errOverBudget is the answer instead of a try that would be one too many
// (GEP-3388). A try on another endpoint of what never reached one is not counted.
var errOverBudget error = &exchange.Error{Status: 503, Code: "retry_budget_exceeded", Detail: "the backend fails, and too many of its requests are retries already"}

// repeats reports whether the outcome of a try is one to be tried again. What
// may have changed something in the backend is repeated only where that is
// harmless (RFC 9110, section 9.2.2), or where the backend says by a code of the
// rule's that it did not succeed.
func (t *transfer) repeats(err error) bool {
	if err == nil {
		return slices.Contains(t.d.Retry.Codes, t.call.Head.Status)
	}
	var e *exchange.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "backend_connect_failed":
		return true
	case "backend_timeout", "backend_bad_response", "backend_cancelled":
		return idempotent(t.x.Request.Method)
	}
	return false
}

// wait waits before the next try. It returns false, at once, if the rule's time
// for the request would be over, and when the client goes.
func (t *transfer) wait(try int) bool {
	least := t.d.Retry.Backoff
	if least <= 0 {
		least = defaultBackoff
	}
	d := max(least, min(least<<min(try, longestGrowth), longestBackoff))
	d += rand.N(d/4 + 1)
	if !t.limit.request.IsZero() && !time.Now().Add(d).Before(t.limit.request) {
		return false
	}
	if t.x.Context == nil {
		time.Sleep(d)
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.x.Context.Done():
		return false
	}
}
