package extauth

import (
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// keeper says which requests one kept answer is for.
type keeper struct {
	owner   *Owner
	id      string // of the service: what is before every key
	program *expr.Program
	headers []string
	address bool // it is told the caller's address
}

func newKeeper(s *Service) (*keeper, error) {
	t, o := s.t, s.owner
	c := t.Cache
	k := &keeper{owner: o, id: id(t), address: t.GRPC || t.Forwarded}
	switch {
	case c.TTL <= 0:
		return nil, errors.New("cache: ttl is not above 0")
	case (c.Key == "") == (len(c.Headers) == 0):
		return nil, errors.New("cache: set exactly one of key and headers")
	case t.MaxBody > 0:
		return nil, errors.New("cache: an answer to a request whose content was looked at is good for no other")
	case c.Key == "":
		k.headers = c.Headers
		const credential = "authorization"
		if (s.all || s.headers[credential]) && !slices.Contains(c.Headers, credential) {
			k.headers = append(slices.Clip(k.headers), credential) // or what one caller may, all might
		}
		return k, nil
	}
	var err error
	k.program, err = o.cfg.Env.Compile(c.Key, expr.String)
	return k, err
}

// key returns what x has in common with the requests its answer is good for, in
// memory of the exchange's; false when there is nothing.
func (k *keeper) key(x *exchange.Exchange) (string, bool) {
	if k.program != nil {
		v, ok, err := k.program.Field(x) // no two values have one
		if err != nil || !ok || v == "" {
			return "", false
		}
		return x.Arena.Concat(k.id, v), true
	}
	q := &x.Request
	size := len(k.id) + 128 + len(q.Method) + len(q.Scheme) + len(q.Authority) + len(q.Path) + len(q.RawQuery)
	for i := range q.Header {
		size += len(q.Header[i].Value) + 20
	}
	b := append(x.Arena.Alloc(size)[:0], k.id...)
	for _, part := range [...]string{q.Method, q.Scheme, q.Authority, q.Path, q.RawQuery} {
		b = remote.AppendPart(b, part)
	}
	if k.address { // by which it may decide
		a := q.ClientIP.As16()
		b = append(b, a[:]...)
	}
	if q.EmptyQuery {
		b = append(b, '?')
	}
	for _, name := range k.headers {
		b = append(b, '|')
		if n := slices.Index(introduced, name); n >= 0 {
			b = remote.AppendPart(b, k.owner.introduction(x, n))
			continue
		}
		for i := range q.Header {
			if f := &q.Header[i]; len(f.Name) == len(name) && mem.EqualFold(f.Name, name) {
				b = remote.AppendPart(b, f.Value)
			}
		}
	}
	return mem.String(b), true
}

// weight is about how many bytes a takes.
func weight(a *auth.Answer) int {
	if a == nil {
		return 0
	}
	const answer, line = 256, 96 // with what short texts take that share no block
	n := answer + len(a.Content) + len(a.Type) + len(a.Detail)
	for i := range a.Header {
		n += line + len(a.Header[i].Name) + len(a.Header[i].Value)
	}
	for i := range a.Edits {
		n += line + len(a.Names[i]) + len(a.Edits[i].Value)
	}
	for i := range a.Query {
		n += line + len(a.Query[i].Name) + len(a.Query[i].Escaped)
	}
	if f := a.Granted; f != nil {
		n += weight(&auth.Answer{Edits: f.Edits, Names: f.Names})
	}
	return n
}

// hop reports fields that belong to one connection or frame one message: none
// of them is anybody's to pass on or to set.
func hop(name string) bool {
	return slices.Contains([]string{
		"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive",
		"proxy-connection", "expect", "proxy-authenticate",
	}, name) || strings.HasPrefix(name, ":")
}
