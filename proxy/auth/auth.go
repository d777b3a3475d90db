// Package auth decides who is calling and whether they may, by a rule's
// effective policy (table.Auth).
//
// proxy/router builds one Policy per table.Auth; the proxy calls Check on every
// request of a guarded rule. Each authentication method and each kind of
// authorization rule is a leaf folder below this one, behind the two contracts
// of this file.
package auth

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Outcome is what a method or rule made of a request.
type Outcome uint8

// The outcomes. Accepted is the only one that lets a request on.
const (
	Absent      Outcome = iota // the request carries no credential of this kind
	Accepted                   // the caller is who they say, or may do this
	Rejected                   // the credential is wrong, or the rule says no
	Unavailable                // it cannot be told now, and that is our fault: 503, never 401
)

// Result is an outcome with its cause.
type Result struct {
	Outcome    Outcome
	Code       string        // stable cause: "jwt_expired"; docs/answers.md
	RetryAfter time.Duration // with Unavailable
}

// Method is one way to say who is calling.
type Method interface {
	// Authenticate looks for its credential in x and, if it accepts it, fills p.
	// It changes nothing in x.
	Authenticate(x *exchange.Exchange, p *exchange.Principal) Result
	// Challenge is the WWW-Authenticate value that says what would have worked
	// (RFC 9110, section 11.6.1), or "" for none.
	Challenge() string
	// Strip removes the credential from the request that is forwarded.
	Strip(x *exchange.Exchange)
}

// Rule is one authorization rule. x.Principal is set.
type Rule interface {
	Authorize(x *exchange.Exchange) Result
}
