package guard

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// retryUnavailable is when to come back for a method the table says lacks
// something: an operator has to act, or an object to arrive.
const retryUnavailable = 10 * time.Second

// unavailable stands for a method or a rule that lacks something of ours.
type unavailable struct{ from auth.Credential }

// presented reports whether x carries a credential for the method, which then
// nobody can judge.
func (u unavailable) presented(x *exchange.Exchange) bool {
	_, found := u.from.Find(x)
	return found != auth.Absent
}

// Authenticate implements auth.Method.
func (unavailable) Authenticate(*exchange.Exchange, *exchange.Principal) auth.Result {
	return auth.Result{Outcome: auth.Unavailable, Code: auth.CodeUnavailable, RetryAfter: retryUnavailable}
}

// Authorize implements auth.Rule.
func (u unavailable) Authorize(*exchange.Exchange) auth.Result { return u.Authenticate(nil, nil) }

// Value implements auth.Voucher.
func (u unavailable) Value(*exchange.Exchange) (string, auth.Result) {
	return "", u.Authenticate(nil, nil)
}

// Challenge implements auth.Method.
func (unavailable) Challenge() string { return "" }

// Strip implements auth.Method.
func (u unavailable) Strip(x *exchange.Exchange) { u.from.Strip(x) }
