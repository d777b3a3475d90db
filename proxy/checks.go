package proxy

import (
	"bytes"

	"github.com/gatehouse-dev/gatehouse/proxy/auth/basic"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/opa"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/sessions"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/validate"
)

// Checks judges parts of policies as the proxy will when it meets them in a
// table. The control half, which knows nothing of the proxy, gets them from cmd
// so that it can refuse a policy in its status. Errors say what is wrong and
// what to write instead; a nil error promises that the proxy takes the part.
type Checks struct {
	Condition func(cel string) error                    // an expression that is true or false
	Value     func(cel string) error                    // an expression for a header's value
	Claim     func(cel string) error                    // an expression for a claim of a token
	Require   func(expr string, methods []string) error // a requirement over method names
	Waived    func(expr string, methods []string) bool  // whether one is met by who presents nothing
	Schema    func(document []byte) error               // a JSON Schema
	KeySet    func(document []byte) error               // a JWK set
	Password  func(hash string) error                   // the hash of one htpasswd line

	Facts        func(cel string) (names []string, more bool)  // the metadata an expression reads by name, and whether it reads it otherwise
	Rego         func(policy, query string, data []byte) error // a policy for opa; query and data may be empty
	SessionStore func(url, ca []byte) error                    // of a Redis; ca may be empty
}

// NewChecks returns the checks. They are good for any goroutine.
func NewChecks() (Checks, error) {
	builder, err := guard.New(guard.Config{})
	if err != nil {
		return Checks{}, err
	}
	builder.Close() // nothing of it runs
	env := builder.Expressions()
	return Checks{
		Condition: func(cel string) error { return env.Check(cel, expr.Bool) },
		Value:     func(cel string) error { return env.Check(cel, expr.String) },
		Claim:     func(cel string) error { return env.Check(cel, expr.JSON) },
		Require: func(text string, methods []string) error {
			_, err := table.ParseRequire(text, methods)
			return err
		},
		Waived: func(text string, methods []string) bool {
			r, err := table.ParseRequire(text, methods)
			return err == nil && r.Decide(0, ^uint64(0)) == table.True
		},
		Facts:  env.Reads,
		Schema: validate.CheckSchema,
		KeySet: func(document []byte) error {
			_, err := keyset.Parse(document)
			return err
		},
		Password: func(hash string) error { return basic.ValidateHash([]byte(hash)) },
		Rego: func(policy, query string, data []byte) error {
			_, err := opa.Compile(&table.OPA{Policy: policy, Query: query, Data: data})
			return err
		},
		SessionStore: func(url, ca []byte) error {
			_, err := sessions.NewRedis(&table.Redis{URL: bytes.TrimRight(url, "\r\n"), CA: ca})
			return err
		},
	}, nil
}
