// Package auth decides who is calling and whether they may, by a rule's
// effective policy (table.Auth).
//
// It has the contracts, the codes, and what several of the folders below it need:
// how an answer is made, what claims say, what of a request may be shown.
// proxy/guard assembles one policy per table.Auth from the leaf folders below
// this one, one per authentication method, place of a credential and kind of
// authorization rule.
package auth

import (
	"context"
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
	Answer     *Answer       // what a service that was asked wants done; nil for nothing
}

// Clock tells what time it is for those who judge a request; nil: when that came.
type Clock func() time.Time

// At is the time by which x is judged. To ask for when it came costs nothing, as another
// look at the process's clock would.
func (c Clock) At(x *exchange.Exchange) time.Time {
	if c != nil {
		return c()
	}
	return x.Time()
}

// Now is the time by which is judged what no request came with.
func (c Clock) Now() time.Time {
	if c != nil {
		return c()
	}
	return time.Now()
}

// ContextOf is the context in which a service is asked about x.
func ContextOf(x *exchange.Exchange) context.Context {
	if x.Context != nil {
		return x.Context
	}
	return context.Background()
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

// Credential is the places of a request one method's credential may stand in.
type Credential interface {
	// Find returns the credential, which may be a view of x or of its arena:
	// Accepted when there is one, Absent when there is none, Rejected when it
	// stands there twice.
	Find(x *exchange.Exchange) (string, Outcome)
	// Strip removes it, however often it stands there.
	Strip(x *exchange.Exchange)
}

// Rule is one authorization rule. x.Principal is set.
type Rule interface {
	Authorize(x *exchange.Exchange) Result
}

// Interactive is a Method that also answers requests itself, to let people log in.
type Interactive interface {
	// Serve answers x if it asks for a path of the method's own (where a login
	// comes back to, a logout), and reports whether it did. It is asked before
	// anybody is authenticated.
	Serve(x *exchange.Exchange) bool
	// Invite answers a caller whom nothing has authenticated, in place of 401, and
	// reports whether it did: a person's browser is sent where it can log in.
	Invite(x *exchange.Exchange) bool
	// Answers reports whether path is one of the method's own.
	Answers(path string) bool
	// Addressed says how far x, which asks for one of them, is known to be for this
	// method, where others have that path too. Content it looks at is there again.
	Addressed(x *exchange.Exchange) Certainty
}

// Certainty is how far something is known.
type Certainty uint8

// The certainties.
const (
	Unknown Certainty = iota
	Likely
	Certain
)

// Forwarder is a Method that hands the backend something of its own.
type Forwarder interface {
	// Forward adds it to the request, which it has authenticated; x.Principal is
	// the method's, and what it must not let through from the caller is stripped.
	Forward(x *exchange.Exchange)
}

// Voucher is a credential of the gateway's own, which a backend asks for.
type Voucher interface {
	// Value returns it as a header field has it, in memory that lives as long as x,
	// with Accepted; any other result says why there is none. x.Principal is set.
	Value(x *exchange.Exchange) (string, Result)
}
