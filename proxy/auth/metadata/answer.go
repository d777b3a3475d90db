package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

var (
	errInvalid = errors.New("metadata: the answer cannot be understood")
	errDown    = errors.New("metadata: the service cannot answer")
)

// answer is what a service said. Requests share it, so it does not change.
type answer struct {
	code    string // it does not take the question; empty: it does
	value   any
	about   bool // it is about a user
	subject string
}

// judge finds fault with answers that say something of the service, and nothing of
// what it was asked: after some of them it is left alone.
func judge(a *remote.Answer) error {
	switch {
	case a.Status >= 500, a.Status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %d", errDown, a.Status)
	case a.Status == http.StatusOK && !json.Valid(a.Content):
		return errInvalid
	}
	return nil
}

// read takes an answer apart.
func read(a *remote.Answer, about bool) (*answer, error) {
	switch {
	case about && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden):
		return &answer{code: auth.CodeUserInfoRefused}, nil // RFC 6750, section 3.1
	case a.Status != http.StatusOK:
		return &answer{code: auth.CodeMetadataRefused}, nil
	}
	value, err := expr.Fact(a.Content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	out := &answer{value: value, about: about}
	if about {
		var user struct {
			Subject string `json:"sub"`
		}
		if json.Unmarshal(a.Content, &user) != nil || user.Subject == "" {
			return nil, fmt.Errorf("%w: it does not say about whom it is", errInvalid)
		}
		out.subject = user.Subject
	}
	return out, nil
}

// result is what the answer comes to for x.
func (a *answer) result(x *exchange.Exchange) (any, auth.Result) {
	switch {
	case a.code == auth.CodeUserInfoRefused:
		return nil, auth.Result{Outcome: auth.Rejected, Code: a.code}
	case a.code != "":
		return nil, auth.Result{Outcome: auth.Unavailable, Code: a.code, RetryAfter: refusalTTL}
	case a.about && a.subject != subject(&x.Principal): // section 5.3.2: it must not be used
		return nil, auth.Result{Outcome: auth.Rejected, Code: auth.CodeUserInfoRefused}
	}
	return a.value, auth.Result{Outcome: auth.Accepted}
}

// subject is whom the caller's token is about.
func subject(p *exchange.Principal) string {
	if sub, is := p.Claims["sub"].(string); is {
		return sub
	}
	return p.Subject
}
