package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var errQuestion = errors.New("metadata: what is to be asked cannot be computed, or is too long")

// question computes what a service is asked.
type question struct {
	method     string
	before     string // the target as far as it is fixed, without its query
	fixed      string // of the query
	path, body *expr.Program
	key        *expr.Program
	query      []part
	headers    []part
	secret     [2]string // a header of the gateway's own, and its value
}

// part is one parameter or header: a fixed value, or one computed by expr.
type part struct {
	name  string
	value string
	expr  *expr.Program
}

// asked is what a service is asked for one request, in memory that lives as long as
// that.
type asked struct {
	target string
	values [maxHeaders]string // by question.headers
	n      int
	body   []byte
}

func newQuestion(t *table.MetadataHTTP, env *expr.Env) (*question, error) {
	q := &question{method: http.MethodGet}
	if t.Post {
		q.method = http.MethodPost
	}
	c := compiler{env: env}
	q.path, q.body, q.key = c.compile("path", t.Path, expr.String), c.compile("body", t.Body, expr.JSON), c.compile("key", t.Key, expr.String)
	for _, p := range t.Query {
		q.query = append(q.query, part{name: p.Name, expr: c.compile("query "+p.Name, p.CEL, expr.String)})
	}
	for _, h := range t.Headers {
		q.headers = append(q.headers, part{name: h.Name, value: h.Value, expr: c.compile("header "+h.Name, h.CEL, expr.String)})
	}
	if t.Secret != nil {
		if q.secret = [2]string{t.Into.Name, string(t.Secret.Value)}; t.Into.Scheme != "" {
			q.secret[1] = t.Into.Scheme + " " + q.secret[1]
		}
	}
	switch {
	case c.err != nil:
		return nil, c.err
	case len(q.headers) > maxHeaders:
		return nil, fmt.Errorf("%d headers; use at most %d", len(q.headers), maxHeaders)
	case (t.Backend == "") == (t.URL == ""):
		return nil, errors.New("set exactly one of backend and url")
	}
	text := t.URL
	if text == "" {
		text = "http://" + remote.Authority(t.Backend, "metadata")
	}
	u, err := location(text)
	if err != nil {
		return nil, err
	}
	q.before, q.fixed = u.Scheme+"://"+u.Host+u.EscapedPath(), u.RawQuery
	switch {
	case q.path != nil:
		q.before = strings.TrimSuffix(q.before, "/")
	case u.Path == "":
		q.before += "/"
	}
	return q, nil
}

// compiler keeps the first error.
type compiler struct {
	env *expr.Env
	err error
}

func (c *compiler) compile(what, text string, kind expr.Kind) *expr.Program {
	if text == "" {
		return nil
	}
	p, err := c.env.Compile(text, kind)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
	return p
}

// compute fills in what is asked for x. No value of x's means anything where it
// stands but itself.
func (q *question) compute(x *exchange.Exchange, a *asked) error {
	b := append(x.Arena.Alloc(len(q.before) + 256)[:0], q.before...)
	var err error
	if q.path != nil {
		if b, err = q.path.AppendPath(b, x); err != nil {
			return err
		}
	}
	separator := byte('?')
	if q.fixed != "" {
		b = append(append(b, separator), q.fixed...)
		separator = '&'
	}
	for i := range q.query {
		v, ok, err := q.query[i].expr.String(x)
		if err != nil {
			return err
		}
		if ok {
			b = append(expr.AppendEscaped(append(b, separator), q.query[i].name), '=')
			b = expr.AppendEscaped(b, v)
			separator = '&'
		}
	}
	if len(b) > maxTarget {
		return errQuestion
	}
	for i := range q.headers {
		v, ok := q.headers[i].value, true
		if q.headers[i].expr != nil {
			if v, ok, err = q.headers[i].expr.Field(x); err != nil {
				return err
			}
		}
		if len(v) > maxValue {
			return errQuestion
		}
		if ok {
			a.values[i] = v
		}
	}
	a.n = len(q.headers)
	if q.body != nil {
		if a.body, _, err = q.body.AppendJSON(x.Arena.Alloc(256)[:0], x); err != nil || len(a.body) > maxBody {
			return errQuestion
		}
	}
	a.target = mem.String(b)
	return nil
}

// text is all of the question in one: no two different ones have the same.
func (a *asked) text(x *exchange.Exchange) string {
	size := len(a.target) + len(a.body) + 32
	for _, v := range a.values[:a.n] {
		size += len(v) + 8
	}
	b := remote.AppendPart(x.Arena.Alloc(size)[:0], a.target)
	for _, v := range a.values[:a.n] {
		b = remote.AppendPart(b, v)
	}
	return mem.String(append(b, a.body...))
}

// request copies a.
func (q *question) request(a *asked) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(bytes.Clone(a.body))
	}
	r, err := http.NewRequest(q.method, strings.Clone(a.target), body)
	if err != nil {
		return nil, errQuestion
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	for i := range q.headers {
		if a.values[i] != "" {
			r.Header.Set(q.headers[i].name, strings.Clone(a.values[i]))
		}
	}
	if q.secret[0] != "" {
		r.Header.Set(q.secret[0], q.secret[1])
	}
	return r, nil
}
