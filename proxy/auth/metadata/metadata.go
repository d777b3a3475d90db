// Package metadata fetches facts about a caller who is known already, for rules
// that decide by them: from a service that is asked over HTTP, or from the userinfo
// endpoint of the caller's OpenID provider.
//
// proxy/guard owns one Owner, and makes a Step of each table.MetadataStep. It calls
// proxy/remote, which bounds the questions and keeps the answers, and proxy/expr,
// which computes what is asked and makes values of what is answered.
//
// A service that is down, slow or answers rubbish leaves a request undecidable
// (503), never refused, unless the policy can do without.
package metadata

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxAnswer  = 64 << 10
	maxKept    = 8192 // answers, of all services
	maxCalls   = 128  // under way at one time for one step
	maxFetches = 1024 // the same of all steps
	maxTarget  = 8 << 10
	maxValue   = 8 << 10  // bytes of a header's value
	maxBody    = 64 << 10 // of a question
	maxHeaders = 16
	idle       = 64 // connections kept to one URL
)

// The times.
const (
	refusalTTL = 10 * time.Second // that a question is not taken is remembered for so long
	retryAfter = 2 * time.Second
	patience   = 3 // failures in a row, after which a service is left alone
	restFirst  = 500 * time.Millisecond
	restLast   = 15 * time.Second
)

// What became of a request that needed facts, as metrics name it.
const (
	Fetched = "fetched"
	Refused = "refused" // it was asked, and does not take the question
	Failed  = "failed"  // no answer, or none that can be understood
	Cached  = "cached"  // an answer kept from before was used
)

// Config is what an Owner is made from.
type Config struct {
	Through   func(backend string, http2 bool) http.RoundTripper // the way to a Backend; nil: Transport has to do
	Transport http.RoundTripper                                  // to URLs; a plain one when nil
	Env       *expr.Env                                          // in which expressions are compiled
	Now       func() time.Time                                   // time.Now when nil
	Bytes     int                                                // of memory that answers kept take; 32 MiB when 0
	Asked     func(service, outcome string)                      // called once for each request that needs facts; may be nil
}

// Owner holds what Steps share and what outlives them.
type Owner struct {
	cfg     Config
	cache   *remote.Cache[*answer]
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
		cache:   remote.NewCache[*answer](remote.CacheConfig{Size: maxKept, Bytes: c.Bytes, Fetches: maxFetches, Backoff: rest, Now: c.Now}),
		issuers: remote.NewIssuers("userinfo_endpoint", c.Transport, rest, c.Now),
	}
}

// Close ends what is under way.
func (o *Owner) Close() {
	o.cache.Close()
	o.issuers.Close()
}

// Step fetches one fact. It knows whether its service rests.
type Step struct {
	t        *table.MetadataStep
	owner    *Owner
	service  string // in metrics
	id       string // what the key of every answer begins with
	client   *remote.Client
	question *question // nil: the provider is asked about the user
	last     atomic.Pointer[string]
}

// Step checks t, which policy supplied, and makes it ready. Answers belong to the
// policy: another's callers may bear the same names and be others.
func (o *Owner) Step(t *table.MetadataStep, policy string) (*Step, error) {
	sum := ID(t, policy)
	s := &Step{t: t, owner: o, service: t.Service(), id: string(sum[:])}
	transport := o.cfg.Transport
	var err error
	switch {
	case (t.HTTP == nil) == (t.UserInfo == nil):
		return nil, errors.New("it is of no kind; set http or userInfo")
	case t.HTTP != nil:
		if t.HTTP.Backend != "" && o.cfg.Through != nil {
			transport = o.cfg.Through(t.HTTP.Backend, false)
		}
		if s.question, err = newQuestion(t.HTTP, o.cfg.Env); err != nil {
			return nil, err
		}
	default:
		if (t.UserInfo.Issuer == "") == (t.UserInfo.URL == "") {
			return nil, errors.New("set exactly one of issuer and url")
		}
		if _, err := location(t.UserInfo.Issuer + t.UserInfo.URL); err != nil {
			return nil, err
		}
	}
	s.client = remote.NewClient(remote.Config{
		Transport: transport, Timeout: t.Timeout, MaxAnswer: maxAnswer, Calls: maxCalls, Now: o.cfg.Now, Patience: patience,
		Backoff: remote.Backoff{First: restFirst, Last: restLast}, Judge: judge,
	})
	return s, nil
}

// ID tells steps apart that ask or keep something else, or that other policies
// supplied.
func ID(t *table.MetadataStep, policy string) [32]byte {
	own := *t
	own.Source, own.When, own.Optional = 0, nil, false
	sum := table.Sum(&own)
	return sha256.Sum256([]byte(string(sum[:]) + policy))
}

func location(text string) (*url.URL, error) {
	u := remote.ParseURL(text)
	if u == nil {
		return nil, errors.New("its URL is none of http or https with a host, and without user and fragment")
	}
	return u, nil
}

// Fetch returns the fact for x, whose Principal is set, as exchange.Fact has it. A
// fact that is kept is looked up without allocation, but for what its key's
// expression takes.
func (s *Step) Fetch(x *exchange.Exchange) (any, auth.Result) {
	var asks asked
	key, r := s.key(x, &asks)
	if r.Outcome != auth.Accepted {
		return nil, r
	}
	a, ok := s.owner.cache.Get(mem.String(key[:]))
	if ok {
		s.owner.cfg.Asked(s.service, Cached)
	} else if a, r = s.load(x, key, &asks); a == nil {
		return nil, r
	}
	return a.result(x)
}

// key is what the answer for x is kept by: the step, and the token, the policy's
// expression or the whole question.
func (s *Step) key(x *exchange.Exchange, asks *asked) (key [sha256.Size]byte, r auth.Result) {
	text := x.Principal.Token
	switch q := s.question; {
	case q == nil && text == "":
		return key, auth.Result{Outcome: auth.Rejected, Code: auth.CodeUserInfoNoToken}
	case q == nil:
	case q.key != nil:
		v, ok, err := q.key.String(x)
		if err != nil || !ok {
			return key, unusable()
		}
		text = v
	default:
		if err := q.compute(x, asks); err != nil {
			return key, unusable()
		}
		text = asks.text(x)
	}
	return sha256.Sum256(mem.Bytes(x.Arena.Concat(s.id, text))), auth.Result{Outcome: auth.Accepted}
}

func unusable() auth.Result {
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeMetadataUnusable}
}

// load asks, which several requests may wait for.
func (s *Step) load(x *exchange.Exchange, key [sha256.Size]byte, asks *asked) (*answer, auth.Result) {
	fetch, err := s.fetcher(x, asks)
	if err != nil {
		return nil, unusable()
	}
	a, err := s.owner.cache.Load(auth.ContextOf(x), string(key[:]), fetch)
	switch {
	case err != nil:
		s.owner.cfg.Asked(s.service, Failed)
		return nil, s.failed(err)
	case a.code != "":
		s.owner.cfg.Asked(s.service, Refused)
	default:
		s.owner.cfg.Asked(s.service, Fetched)
	}
	return a, auth.Result{}
}

// failed is the result where there is no answer.
func (s *Step) failed(err error) auth.Result {
	r := auth.Result{Outcome: auth.Unavailable, Code: auth.CodeMetadata, RetryAfter: retryAfter}
	switch {
	case errors.Is(err, remote.ErrBusy):
		r.Code = auth.CodeMetadataBusy
		return r
	case errors.Is(err, errInvalid), errors.Is(err, remote.ErrTooLarge):
		r.Code = auth.CodeMetadataInvalid
	case errors.Is(err, remote.ErrResting):
		if last := s.last.Load(); last != nil {
			r.Code = *last // what it rests from
		}
		return r
	}
	s.last.Store(&r.Code)
	return r
}

// fetcher returns what asks for x's fact. It is used when x may be gone: all that
// it needs of x is copied.
func (s *Step) fetcher(x *exchange.Exchange, asks *asked) (remote.Fetch[*answer], error) {
	if s.question == nil {
		token := string(append([]byte(nil), x.Principal.Token...))
		return func(ctx context.Context) (*answer, remote.Life, error) { return s.ask(ctx, nil, token) }, nil
	}
	if asks.target == "" {
		if err := s.question.compute(x, asks); err != nil {
			return nil, err
		}
	}
	r, err := s.question.request(asks)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*answer, remote.Life, error) { return s.ask(ctx, r, "") }, nil
}

// ask sends r, or without one asks the provider whose token it is.
func (s *Step) ask(ctx context.Context, r *http.Request, token string) (*answer, remote.Life, error) {
	var err error
	if r == nil {
		endpoint := s.t.UserInfo.URL
		if endpoint == "" {
			if endpoint, err = s.owner.issuers.Endpoint(ctx, s.t.UserInfo.Issuer); errors.Is(err, remote.ErrEndpoint) {
				err = fmt.Errorf("%w: %w", errInvalid, err)
			}
			if err != nil {
				return nil, remote.Life{}, err
			}
		}
		if r, err = remote.AskUserInfo(endpoint, token); err != nil {
			return nil, remote.Life{}, fmt.Errorf("%w: endpoint", errInvalid)
		}
	}
	got, err := s.client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, remote.Life{}, err
	}
	a, err := read(got, s.question == nil)
	if err != nil {
		return nil, remote.Life{}, err
	}
	if a.code != "" {
		return a, remote.Life{Fresh: min(refusalTTL, s.t.TTL)}, nil
	}
	return a, remote.Life{Fresh: s.t.TTL, Spare: s.t.Spare, Bytes: remote.Weight(got.Content)}, nil
}
