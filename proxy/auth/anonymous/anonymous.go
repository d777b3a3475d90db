// Package anonymous lets callers on who present no credential.
//
// proxy/guard tries it last, and not at all when the request carries a
// credential that another method refused: a wrong password is a mistake to be
// told of, not a wish to be nobody.
package anonymous

import (
	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Method accepts everybody.
type Method struct{}

// New returns the method.
func New() Method { return Method{} }

// Authenticate implements auth.Method. The subject stays empty.
func (Method) Authenticate(*exchange.Exchange, *exchange.Principal) auth.Result {
	return auth.Result{Outcome: auth.Accepted}
}

// Challenge implements auth.Method; there is nothing to ask for.
func (Method) Challenge() string { return "" }

// Strip implements auth.Method; there is nothing to remove.
func (Method) Strip(*exchange.Exchange) {}
