// Package extauth asks a service whether a request may pass: by Envoy's
// ext_authz protocol over gRPC, or by a plain HTTP request.
//
// proxy/guard owns one Owner, and makes a Service of each table.ExternalAuth: as
// an authorization rule of a policy, and for proxy/router as the ExternalAuth
// filter of a route (GEP-1494). Both are one engine. It calls proxy/remote, which
// bounds the calls and keeps the answers.
//
// Whatever goes wrong closes: a service that is down, slow or overloaded, an
// answer that cannot be understood, a field it wants set that must not be.
package extauth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxCalls       = 1024      // under way at one time for one service
	maxFetches     = 8192      // the same of answers that are kept, for all services
	maxBodies      = 64 << 20  // bytes of content that services are shown at one time, all of them together; one gets half
	maxAnswer      = 256 << 10 // bytes of one answer
	maxKept        = 16384     // answers kept, of all services
	idle           = 64        // connections kept to one URL
	defaultTimeout = time.Second
	retryAfter     = time.Second
)

// What became of a request that a service had to be asked about, as metrics name it.
const (
	Allowed = "allowed"
	Refused = "refused"
	Failed  = "failed" // no answer, or none that can be understood
	Cached  = "cached" // an answer kept from before was used
)

// Config is what an Owner is made from.
type Config struct {
	Through func(backend string, http2 bool) http.RoundTripper // the way to a Backend; nil: there are none
	Env     *expr.Env                                          // keys of caches are compiled in it
	Trusted func(peer netip.Addr) bool                         // proxies whose X-Forwarded-Proto and -Host are believed; nobody when nil
	Now     func() time.Time                                   // time.Now when nil
	Bytes   int                                                // of memory that answers kept take; 32 MiB when 0
	Asked   func(service, outcome string)                      // called once for each request; may be nil

	Operators net.Addr // the socket that listens for operators, which no URL is to lead to; may be nil
}

// Owner holds what Services share and what outlives them.
type Owner struct {
	cfg    Config
	cache  *remote.Cache[auth.Result]
	plain  *http.Transport // to URLs
	h2c    *http.Transport // to gRPC services at http URLs
	bodies atomic.Int64    // bytes of content shown at this time
}

// NewOwner makes an Owner. Close it.
func NewOwner(c Config) *Owner {
	if c.Asked == nil {
		c.Asked = func(string, string) {}
	}
	if c.Trusted == nil {
		c.Trusted = func(netip.Addr) bool { return false }
	}
	o := &Owner{cfg: c, plain: remote.NewTransport(idle, c.Operators), h2c: remote.NewTransport(idle, c.Operators)}
	o.plain.DisableCompression, o.h2c.DisableCompression = true, true
	o.h2c.Protocols = new(http.Protocols)
	o.h2c.Protocols.SetUnencryptedHTTP2(true)
	o.cache = remote.NewCache[auth.Result](remote.CacheConfig{
		Size: maxKept, Bytes: c.Bytes, Fetches: maxFetches, Now: c.Now, Backoff: remote.Backoff{First: retryAfter / 4, Last: 4 * retryAfter},
	})
	return o
}

// Close ends what is under way.
func (o *Owner) Close() {
	o.cache.Close()
	o.plain.CloseIdleConnections()
	o.h2c.CloseIdleConnections()
}

// Service is one service, as one policy or filter asks it.
type Service struct {
	t        *table.ExternalAuth
	owner    *Owner
	name     string // in metrics: the backend's ID, or the URL's host
	client   *remote.Client
	endpoint url.URL // where requests go; of HTTP, what goes before their path
	all      bool    // of the caller's fields are sent
	headers  map[string]bool
	own      []string // fields of requests that the service alone sets, lower case
	cache    *keeper
	bodies   atomic.Int64 // bytes of content shown at this time
}

// Service checks t and makes it ready.
func (o *Owner) Service(t *table.ExternalAuth) (*Service, error) {
	s := &Service{t: t, owner: o, name: t.Service(), headers: map[string]bool{}, own: own(t.ToBackend)}
	transport, err := s.reach()
	if err != nil {
		return nil, fmt.Errorf("external: %w", err)
	}
	for _, name := range t.Headers {
		s.all = s.all || name == "*"
		s.headers[name] = true
	}
	if !t.GRPC {
		s.headers["authorization"] = true
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	s.client = remote.NewClient(remote.Config{Transport: transport, Timeout: timeout, MaxAnswer: maxAnswer, Calls: maxCalls, Now: o.cfg.Now})
	if t.Cache != nil {
		if s.cache, err = newKeeper(s); err != nil {
			return nil, fmt.Errorf("external: %w", err)
		}
	}
	return s, nil
}

// Own returns the names, in lower case, of the fields that the backend is to have
// of the service or not at all: also where a request is not asked about.
func (s *Service) Own() []string { return s.own }

// reach finds the way to the service.
func (s *Service) reach() (http.RoundTripper, error) {
	t := s.t
	path, err := prefix(t.Path)
	switch {
	case err != nil:
		return nil, err
	case (t.Backend == "") == (t.URL == ""):
		return nil, errors.New("set exactly one of backend and url")
	case t.Backend != "" && s.owner.cfg.Through == nil:
		return nil, errors.New("there are no backends")
	case t.Backend != "":
		s.endpoint = url.URL{Scheme: "http", Host: remote.Authority(t.Backend, "external-auth"), Path: path}
		return s.owner.cfg.Through(t.Backend, t.GRPC), nil
	}
	u := remote.ParseURL(t.URL)
	if u == nil || u.RawQuery != "" {
		return nil, errors.New("url is none of http or https with a host, and nothing behind its path")
	}
	before, err := prefix(u.EscapedPath())
	if err != nil {
		return nil, err
	}
	s.endpoint = url.URL{Scheme: u.Scheme, Host: u.Host, Path: before + path}
	if t.GRPC && u.Scheme == "http" {
		return s.owner.h2c, nil
	}
	return s.owner.plain, nil
}

// prefix returns a path without the slash at its end. One that leads elsewhere
// than it says is refused.
func prefix(path string) (string, error) {
	path = strings.TrimRight(path, "/")
	if path != "" && path[0] != '/' {
		path = "/" + path
	}
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\\\x00") || strings.ContainsAny(segment, "?# ") {
			return "", fmt.Errorf("path %q is malformed, or hides where it leads", path)
		}
	}
	return path, nil
}

// Authorize implements auth.Rule. It may replace x's content by the same content,
// part of which has been read.
func (s *Service) Authorize(x *exchange.Exchange) auth.Result {
	if s.cache != nil {
		if key, ok := s.cache.key(x); ok {
			if r, ok := s.owner.cache.Get(key); ok {
				s.owner.cfg.Asked(s.name, Cached)
				return r
			}
			return s.load(x, key)
		}
	}
	var content room
	content.of = s
	defer content.leave()
	r, refused := s.request(x, &content)
	if r == nil {
		return refused
	}
	result, err := s.ask(r.WithContext(auth.ContextOf(x)))
	if err != nil {
		return s.failed(err)
	}
	return result
}

// FilterRequest implements filter.Request.
func (s *Service) FilterRequest(x *exchange.Exchange) bool {
	r := s.Authorize(x)
	a := r.Answer
	if r.Outcome == auth.Accepted {
		if a != nil {
			a.Apply(x)
		}
		return true
	}
	if a == nil {
		a = &auth.Answer{}
	}
	if r.Outcome == auth.Unavailable {
		a.Refuse(x, 503, r.Code, "it cannot be decided at the moment whether the request may pass; try again later")
		if x.Response.Status == 503 {
			x.RetryAfter(r.RetryAfter)
		}
	} else {
		a.Refuse(x, 403, r.Code, "the request is not allowed")
	}
	return false
}

// room is what one request's content takes of what services may be shown. It is taken
// as content comes: who announces some and sends none takes none.
type room struct {
	of    *Service
	taken int64
}

// Take implements exchange.Room. One service gets half of it at most: what slow
// clients of one keep waiting is not for others to suffer from.
func (r *room) Take(n int) bool {
	r.taken += int64(n)
	all, own := r.of.owner.bodies.Add(int64(n)), r.of.bodies.Add(int64(n))
	return all <= maxBodies && own <= maxBodies/2
}

func (r *room) leave() {
	r.of.owner.bodies.Add(-r.taken)
	r.of.bodies.Add(-r.taken)
}

// load gets the answer for key, which several requests may wait for.
func (s *Service) load(x *exchange.Exchange, key string) auth.Result {
	r, refused := s.request(x, nil) // whose content is of no matter
	if r == nil {
		return refused
	}
	result, err := s.owner.cache.Load(auth.ContextOf(x), key, func(ctx context.Context) (auth.Result, remote.Life, error) {
		result, err := s.ask(r.WithContext(ctx))
		return result, remote.Life{Fresh: s.t.Cache.TTL, Bytes: weight(result.Answer)}, err
	})
	if err != nil {
		return s.failed(err)
	}
	return result
}

// errInvalid says that an answer cannot be understood, or must not be followed.
var errInvalid = errors.New("extauth: the answer is invalid")

// ask sends r and reads the answer.
func (s *Service) ask(r *http.Request) (auth.Result, error) {
	a, err := s.client.Do(r)
	if err != nil {
		return auth.Result{}, err
	}
	var result auth.Result
	if s.t.GRPC {
		result, err = checked(a)
	} else {
		result, err = s.answered(a)
	}
	switch {
	case err != nil:
		return auth.Result{}, err
	case result.Outcome == auth.Accepted:
		s.owner.cfg.Asked(s.name, Allowed)
	default:
		s.owner.cfg.Asked(s.name, Refused)
	}
	return result, nil
}

// failed is the result where there is no answer: it closes.
func (s *Service) failed(err error) auth.Result {
	s.owner.cfg.Asked(s.name, Failed)
	r := auth.Result{Outcome: auth.Unavailable, Code: auth.CodeExternalUnavailable, RetryAfter: retryAfter}
	switch {
	case errors.Is(err, remote.ErrBusy):
		r.Code = auth.CodeExternalBusy
	case errors.Is(err, errInvalid), errors.Is(err, remote.ErrTooLarge):
		r.Code = auth.CodeExternalInvalid
	}
	if s.t.Status != 0 {
		r.Answer = &auth.Answer{Status: s.t.Status}
	}
	return r
}

// id tells services apart by their settings.
func id(t *table.ExternalAuth) string {
	sum := table.Sum(t)
	return hex.EncodeToString(sum[:8])
}
