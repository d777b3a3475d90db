package validate

import (
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxParts is how many sources and checks a policy may have: they are bits of a uint64.
const maxParts = 64

// maxBuffered is the largest content that is read for a schema if no check says
// how large it may be.
const maxBuffered = 1 << 20

// Build makes a policy. An error names the part that cannot be used; the router
// then closes the rule.
func Build(v *table.Validation, env *expr.Env) (*Policy, error) {
	if len(v.Sources) > maxParts || len(v.Checks) > maxParts {
		return nil, fmt.Errorf("%d policies with %d checks meet on one rule; use at most %d of each", len(v.Sources), len(v.Checks), maxParts)
	}
	p := &Policy{closed: v.Closed}
	for _, s := range v.Sources {
		built := source{policy: s.Policy}
		for i, text := range s.When {
			if v.Closed != nil {
				break
			}
			w, err := env.Compile(text, expr.Bool)
			if err != nil {
				return nil, fmt.Errorf("%s: when[%d]: %w", s.Policy, i, err)
			}
			built.when = append(built.when, w)
		}
		p.sources = append(p.sources, built)
	}
	if v.Closed != nil {
		return p, nil
	}
	for i := range v.Checks {
		c, err := buildCheck(&v.Checks[i], len(v.Sources))
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", v.Checks[i].Name, err)
		}
		p.checks = append(p.checks, c)
	}
	return p, nil
}

func buildCheck(t *table.Check, sources int) (check, error) {
	if t.Source < 0 || t.Source >= max(1, sources) {
		return check{}, fmt.Errorf("source %d of %d", t.Source, sources)
	}
	c := check{source: t.Source, methods: t.Methods, maxBody: t.MaxBodyBytes}
	for _, name := range t.ContentTypes {
		c.types = append(c.types, strings.ToLower(name))
	}
	c.accept = strings.Join(c.types, ", ")
	var err error
	for i := range t.Headers {
		h := t.Headers[i]
		h.Name = strings.ToLower(h.Name)
		if c.headers, err = appendParameter(c.headers, h, "/headers/"); err != nil {
			return check{}, err
		}
	}
	for _, q := range t.Query {
		if c.query, err = appendParameter(c.query, q, "/query/"); err != nil {
			return check{}, err
		}
	}
	if t.Schema != nil {
		if c.schema, err = newForm(t.Schema.Document); err != nil {
			return check{}, fmt.Errorf("schema of %s: %w", t.Schema.ID, err)
		}
	}
	return c, nil
}
