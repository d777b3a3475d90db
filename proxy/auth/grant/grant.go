// Package grant gets access tokens for backends from token endpoints: the
// gateway's own, by client credentials (RFC 6749, section 4.4), or one in exchange
// for the caller's (RFC 8693).
//
// proxy/guard owns one Owner, and makes a Grant of each table.TokenGrant: an
// auth.Voucher, asked once the request may pass. It calls proxy/remote, which
// bounds the calls and keeps the tokens; how a token endpoint is spoken to is
// golang.org/x/oauth2's.
//
// A token is fetched again before it runs out, by one request for all, in the
// background; while that fails the old one serves until it has run out.
package grant

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxCalls       = 256      // under way at one time to one token endpoint
	maxFetches     = 2048     // the same to all of them
	maxAnswer      = 64 << 10 // bytes of one answer
	maxToken       = 16 << 10 // bytes of one token
	maxKept        = 8192     // tokens kept, of all grants
	maxKey         = 8 << 10  // bytes of the longest caller's token that an answer is kept for
	patience       = 3        // failures in a row, after which an endpoint is left alone
	restFirst      = time.Second
	restLast       = 30 * time.Second
	defaultTimeout = 5 * time.Second
	retryAfter     = 5 * time.Second
)

// How long a token is used.
const (
	untold = time.Minute     // if the endpoint does not say how long it is good
	ahead  = time.Minute     // before it runs out it is fetched again; a fifth of its life if that is less
	margin = 5 * time.Second // before it runs out it is not used any more: it has a way to go; a twentieth if that is less
)

// What became of a token that an endpoint was asked for, as metrics name it.
const (
	Issued  = "issued"
	Refused = "refused"
	Failed  = "failed" // no answer, or none that can be understood
)

// Config is what an Owner is made from.
type Config struct {
	Transport http.RoundTripper             // to token endpoints; a plain one when nil
	Now       func() time.Time              // time.Now when nil
	Bytes     int                           // of memory that tokens kept take; 32 MiB when 0
	Asked     func(service, outcome string) // called once for each call; may be nil
}

// Owner holds what Grants share and what outlives them.
type Owner struct {
	cfg   Config
	cache *remote.Cache[string] // the field's value
}

// NewOwner makes an Owner. Close it.
func NewOwner(c Config) *Owner {
	if c.Transport == nil {
		c.Transport = remote.NewTransport(8, nil)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Asked == nil {
		c.Asked = func(string, string) {}
	}
	return &Owner{cfg: c, cache: remote.NewCache[string](remote.CacheConfig{
		Size: maxKept, Bytes: c.Bytes, MaxKey: maxKey, Fetches: maxFetches, Now: c.Now, Backoff: remote.Backoff{First: restFirst, Last: restLast},
	})}
}

// Close ends what is under way.
func (o *Owner) Close() {
	o.cache.Close()
	if t, ok := o.cfg.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Grant is one client of one token endpoint, as one policy uses it.
type Grant struct {
	owner  *Owner
	t      *table.TokenGrant
	id     string // before every key
	name   string // in metrics
	scheme string // before the token
	http   *http.Client
}

// Grant checks t and makes it ready. The tokens go where into says.
func (o *Owner) Grant(t *table.TokenGrant, into table.TokenHeader) (*Grant, error) {
	switch {
	case remote.ParseURL(t.URL) == nil:
		return nil, errors.New("grant: url is not an absolute http or https URL")
	case t.ClientID == "" || len(t.ClientSecret) == 0:
		return nil, errors.New("grant: set client id and secret")
	case t.Exchange != nil && t.Exchange.Subject == "":
		return nil, errors.New("grant: the type of the caller's token is empty")
	}
	sum := table.Sum(t)
	g := &Grant{owner: o, t: t, id: hex.EncodeToString(sum[:8]) + into.Scheme + " ", name: t.Service()}
	if into.Scheme != "" {
		g.scheme = into.Scheme + " "
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	g.http = remote.NewClient(remote.Config{
		Transport: o.cfg.Transport, Timeout: timeout, MaxAnswer: maxAnswer, Calls: maxCalls, Patience: patience,
		Backoff: remote.Backoff{First: restFirst, Last: restLast}, Now: o.cfg.Now,
	}).HTTP()
	return g, nil
}

// Value implements auth.Voucher.
func (g *Grant) Value(x *exchange.Exchange) (string, auth.Result) {
	key, subject := g.id, ""
	if g.t.Exchange != nil {
		if subject = x.Principal.Token; subject == "" {
			return "", auth.Result{Outcome: auth.Rejected, Code: auth.CodeExchangeNoSubject}
		}
		key = x.Arena.Concat(g.id, subject)
	}
	if v, ok := g.owner.cache.Get(key); ok {
		return v, auth.Result{Outcome: auth.Accepted}
	}
	subject, expires := strings.Clone(subject), x.Principal.Expires // the fetch may outlive the request
	v, err := g.owner.cache.Load(auth.ContextOf(x), key, func(ctx context.Context) (string, remote.Life, error) {
		return g.fetch(ctx, subject, expires)
	})
	if err == nil {
		return v, auth.Result{Outcome: auth.Accepted}
	}
	var f *failure
	if errors.As(err, &f) && f.code == auth.CodeExchangeRefused {
		return "", auth.Result{Outcome: auth.Rejected, Code: f.code}
	}
	r := auth.Result{Outcome: auth.Unavailable, Code: auth.CodeCredential, RetryAfter: retryAfter}
	if f != nil {
		r.Code = f.code
	}
	return "", r
}

// failure is why there is no token. What the endpoint said is not in it: that may
// hold secrets.
type failure struct{ code string }

// Error implements error.
func (f *failure) Error() string { return "grant: " + f.code }

// fetch gets a token. expires is when the caller's does: the new one is used no
// longer than that.
func (g *Grant) fetch(ctx context.Context, subject string, expires int64) (string, remote.Life, error) {
	c := clientcredentials.Config{
		ClientID: g.t.ClientID, ClientSecret: string(g.t.ClientSecret), TokenURL: g.t.URL,
		Scopes: g.t.Scopes, EndpointParams: g.form(subject), AuthStyle: oauth2.AuthStyleInHeader,
	}
	if g.t.Post {
		c.AuthStyle = oauth2.AuthStyleInParams
	}
	t, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, g.http))
	if err == nil {
		err = usable(t)
	}
	if err != nil {
		f := g.judge(err)
		g.owner.cfg.Asked(g.name, map[bool]string{true: Failed, false: Refused}[f.code == auth.CodeCredential])
		return "", remote.Life{}, f
	}
	g.owner.cfg.Asked(g.name, Issued)
	left := untold
	if !t.Expiry.IsZero() {
		left = time.Until(t.Expiry) // the library counts from its own clock
	}
	life := lifeOf(left)
	if expires != 0 {
		if most := time.Unix(expires, 0).Sub(g.owner.cfg.Now()) - margin; most < life.Fresh+life.Stale {
			life = remote.Life{Fresh: most} // who comes with a new token gets a new one
		}
	}
	life.Bytes = len(t.AccessToken)
	return g.scheme + t.AccessToken, life, nil
}

// lifeOf is how long a token is used that is good for so long.
func lifeOf(left time.Duration) remote.Life {
	early, late := min(ahead, left/5), min(margin, left/20)
	return remote.Life{Fresh: left - early, Stale: early - late}
}

// form is what is sent beside the client's name and the scopes.
func (g *Grant) form(subject string) url.Values {
	v := url.Values{}
	if len(g.t.Audiences) > 0 {
		v["audience"] = g.t.Audiences
	}
	if len(g.t.Resources) > 0 {
		v["resource"] = g.t.Resources
	}
	if e := g.t.Exchange; e != nil {
		v.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
		v.Set("subject_token", subject)
		v.Set("subject_token_type", e.Subject)
		if e.Requested != "" {
			v.Set("requested_token_type", e.Requested)
		}
	}
	return v
}

// usable refuses what cannot stand in a header (RFC 6749, appendix A.12), and
// tokens that must be shown in another way than as they are (section 7.1).
func usable(t *oauth2.Token) error {
	if len(t.AccessToken) > maxToken {
		return fmt.Errorf("a token of %d bytes", len(t.AccessToken))
	}
	for i := range len(t.AccessToken) {
		if c := t.AccessToken[i]; c <= ' ' || c > '~' {
			return errors.New("a token with characters it may not have")
		}
	}
	switch kind := t.TokenType; {
	case kind == "", mem.EqualFold(kind, "bearer"), mem.EqualFold(kind, "n_a"):
		return nil
	}
	return errors.New("a token of a type that is not known")
}

// judge says whose fault an error is.
func (g *Grant) judge(err error) *failure {
	var refusal *oauth2.RetrieveError
	if errors.As(err, &refusal) && refusal.Response != nil && refusal.Response.StatusCode/100 == 4 {
		switch refusal.ErrorCode {
		case "invalid_grant", "invalid_request", "access_denied":
			if g.t.Exchange != nil { // RFC 8693, section 2.2.2
				return &failure{auth.CodeExchangeRefused}
			}
			return &failure{auth.CodeCredentialClient}
		case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target":
			return &failure{auth.CodeCredentialClient}
		}
	}
	return &failure{auth.CodeCredential}
}
