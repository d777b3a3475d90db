// Package introspect accepts access tokens of which their authorization server
// says that they count (OAuth 2.0 Token Introspection, RFC 7662).
//
// proxy/guard owns one Owner, and makes a Method of each table.Introspection. It
// calls proxy/remote, which bounds the questions and keeps the answers.
//
// An answer is kept by the whole token's SHA-256, for as long as the table says
// and never beyond the token's exp. A server that is down, slow or answers
// rubbish makes a token undecidable (503), never refused.
package introspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxToken   = 16 << 10
	maxAnswer  = 64 << 10
	maxKept    = 8192 // answers, of all servers
	maxCalls   = 128  // under way at one time to one server
	maxFetches = 1024 // the same of all servers
	idle       = 64   // connections kept to one URL
)

// The times.
const (
	negativeTTL    = 10 * time.Second // an answer that a token does not count is good for so long
	retryAfter     = 2 * time.Second
	patience       = 3 // failures in a row, after which a server is left alone
	restFirst      = 500 * time.Millisecond
	restLast       = 15 * time.Second
	defaultTimeout = 2 * time.Second
)

// What became of a request that carried a token, as metrics name it.
const (
	Active   = "active"
	Inactive = "inactive" // or not one that is taken here
	Failed   = "failed"   // no answer, or none that can be understood
	Cached   = "cached"   // an answer kept from before was used
)

// Config is what an Owner is made from.
type Config struct {
	Through   func(backend string, http2 bool) http.RoundTripper // the way to a Backend; nil: there are none
	Transport http.RoundTripper                                  // to URLs; a plain one when nil
	Now       func() time.Time                                   // time.Now when nil
	Bytes     int                                                // of memory that answers kept take; 32 MiB when 0
	Asked     func(service, outcome string)                      // called once for each request with a token; may be nil
}

// Owner holds what Methods share and what outlives them.
type Owner struct {
	cfg     Config
	cache   *remote.Cache[*verdict]
	issuers *remote.Issuers
}

// NewOwner makes an Owner. Close it.
func NewOwner(c Config) *Owner {
	if c.Asked == nil {
		c.Asked = func(string, string) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = remote.NewTransport(idle, nil)
	}
	rest := remote.Backoff{First: restFirst, Last: restLast}
	return &Owner{
		cfg:     c,
		cache:   remote.NewCache[*verdict](remote.CacheConfig{Size: maxKept, Bytes: c.Bytes, Fetches: maxFetches, Backoff: rest, Now: c.Now}),
		issuers: remote.NewIssuers("introspection_endpoint", c.Transport, rest, c.Now),
	}
}

// Close ends what is under way.
func (o *Owner) Close() {
	o.cache.Close()
	o.issuers.Close()
}

// Server is one authorization server, as one client asks it about one kind of
// tokens. It knows whether the server rests.
type Server struct {
	t        *table.Introspection
	owner    *Owner
	name     string // in metrics
	id       [8]byte
	client   *remote.Client
	endpoint string // where it is asked; empty: as the issuer's metadata says
	last     atomic.Pointer[string]
}

// Server checks t and makes it ready.
func (o *Owner) Server(t *table.Introspection) (*Server, error) {
	s := &Server{t: t, owner: o, name: t.Service()}
	sum := table.Sum(t)
	copy(s.id[:], sum[:])
	transport, err := s.reach()
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	s.client = remote.NewClient(remote.Config{
		Transport: transport, Timeout: timeout, MaxAnswer: maxAnswer, Calls: maxCalls, Now: o.cfg.Now, Patience: patience,
		Backoff: remote.Backoff{First: restFirst, Last: restLast},
		Judge:   faulty,
	})
	return s, nil
}

// reach finds the way to the server.
func (s *Server) reach() (http.RoundTripper, error) {
	t := s.t
	switch {
	case t.Backend != "" && t.URL != "":
		return nil, errors.New("set at most one of backend and url")
	case t.Backend != "" && s.owner.cfg.Through == nil:
		return nil, errors.New("there are no backends")
	case t.Backend != "":
		u := url.URL{Scheme: "http", Host: remote.Authority(t.Backend, "introspection"), Path: t.Path}
		s.endpoint = u.String()
		return s.owner.cfg.Through(t.Backend, false), nil
	}
	s.endpoint = t.URL
	text := t.URL
	if text == "" {
		text = t.Issuer
	}
	if remote.ParseURL(text) == nil {
		return nil, errors.New("its URL is none of http or https with a host, and without user and fragment")
	}
	return s.owner.cfg.Transport, nil
}

// Method is a Server with the places of a request that a token may stand in.
type Method struct {
	server *Server
	from   auth.Credential
}

// New makes a Method.
func New(s *Server, from auth.Credential) *Method { return &Method{s, from} }

// Authenticate implements auth.Method. A token that was asked about before is
// looked up, without allocation.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	token, found := m.from.Find(x)
	switch {
	case found == auth.Absent:
		return auth.Result{Outcome: auth.Absent}
	case found != auth.Accepted:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRepeated}
	case len(token) > maxToken || !auth.Visible(token):
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeTokenMalformed}
	}
	s := m.server
	key := s.key(token)
	v, ok := s.owner.cache.Get(mem.String(key[:]))
	if ok {
		s.owner.cfg.Asked(s.name, Cached)
	} else {
		var r auth.Result
		if v, r = s.load(x, key, strings.Clone(token)); v == nil {
			return r
		}
	}
	r := v.result(s.owner.cfg.Now().Unix(), p)
	if r.Outcome == auth.Accepted {
		p.Token, p.Expires = token, v.expires
	}
	return r
}

// key is what an answer is kept by: the server and the whole token.
func (s *Server) key(token string) (key [8 + sha256.Size]byte) {
	copy(key[:], s.id[:])
	sum := sha256.Sum256(mem.Bytes(token))
	copy(key[8:], sum[:])
	return key
}

// load asks about token, which several requests may wait for.
func (s *Server) load(x *exchange.Exchange, key [8 + sha256.Size]byte, token string) (*verdict, auth.Result) {
	v, err := s.owner.cache.Load(auth.ContextOf(x), string(key[:]), s.fetcher(token))
	if err != nil {
		s.owner.cfg.Asked(s.name, Failed)
		return nil, s.failed(err)
	}
	if v.cause(s.owner.cfg.Now().Unix()) == "" {
		s.owner.cfg.Asked(s.name, Active)
	} else {
		s.owner.cfg.Asked(s.name, Inactive)
	}
	return v, auth.Result{}
}

func (s *Server) fetcher(token string) remote.Fetch[*verdict] {
	return func(ctx context.Context) (*verdict, remote.Life, error) { return s.ask(ctx, token) }
}

// failed is the result where there is no answer: it says whose fault that is.
func (s *Server) failed(err error) auth.Result {
	r := auth.Result{Outcome: auth.Unavailable, Code: auth.CodeIntrospection, RetryAfter: retryAfter}
	switch {
	case errors.Is(err, remote.ErrBusy):
		r.Code = auth.CodeIntrospectionBusy
	case errors.Is(err, errRefused):
		r.Code = auth.CodeIntrospectionRefused
	case errors.Is(err, errInvalid), errors.Is(err, remote.ErrTooLarge):
		r.Code = auth.CodeIntrospectionInvalid
	case errors.Is(err, remote.ErrResting):
		if last := s.last.Load(); last != nil {
			r.Code = *last // what it rests from
		}
		return r
	}
	if r.Code != auth.CodeIntrospectionBusy {
		s.last.Store(&r.Code)
	}
	return r
}

// Challenge implements auth.Method (RFC 6750, section 3).
func (m *Method) Challenge() string { return `Bearer realm="gatehouse"` }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) { m.from.Strip(x) }

// Assume judges claims as if the server had answered them for an active token.
// It is for operators who ask what would happen.
func (m *Method) Assume(claims map[string]any, p *exchange.Principal) auth.Result {
	v, err := m.server.judge(assumed(claims))
	if err != nil {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeIntrospectionInvalid}
	}
	return v.result(m.server.owner.cfg.Now().Unix(), p)
}
