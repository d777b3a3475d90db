// Package kubernetes asks the cluster's API server who a token's holder is
// (TokenReview), and whether a caller may do what they ask (SubjectAccessReview).
//
// proxy/guard owns one Owner, and makes a Method of each table.TokenReview and a
// Rule of each table.AccessReview. It calls proxy/remote, which bounds the
// questions and keeps the answers, and knows nothing of Kubernetes but the JSON of
// the two reviews.
//
// An answer is used for ten seconds, and what says yes for up to a minute while the
// API server gives none. Without an answer nothing is decided: 503.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// The bounds.
const (
	maxToken  = 16 << 10
	maxAnswer = 256 << 10 // it holds the question, a byte of which may have become six
	maxKept   = 8192      // users, and as many decisions
	maxCalls  = 128       // under way at one time
)

// The times.
const (
	fresh      = 10 * time.Second // an answer is used for so long
	spare      = 50 * time.Second // and one that says yes for so much longer while there is none
	timeout    = 3 * time.Second
	retryAfter = 2 * time.Second
	patience   = 3 // failures in a row, after which the API server is left alone
	restFirst  = 500 * time.Millisecond
	restLast   = 10 * time.Second
)

// What is asked and what came of it, as metrics name them.
const (
	Token  = "token"
	Access = "access"

	Yes    = "yes"
	No     = "no"
	Failed = "failed" // no answer, or none that can be understood
	Cached = "cached" // an answer kept from before was used
)

// Config is what an Owner is made from.
type Config struct {
	URL       string                       // of the API server; empty: there is none
	Transport http.RoundTripper            // to it, with our credentials
	Env       *expr.Env                    // expressions are compiled in it
	Now       func() time.Time             // time.Now when nil
	Asked     func(review, outcome string) // called once for each review that is needed; may be nil
}

// Owner holds what Methods and Rules share and what outlives them.
type Owner struct {
	cfg       Config
	client    *remote.Client
	users     *remote.Cache[*exchange.Principal] // Subject, Claims and Cluster; without Cluster the token is not known
	decisions *remote.Cache[bool]
}

// NewOwner makes an Owner. Close it.
func NewOwner(c Config) *Owner {
	if c.Asked == nil {
		c.Asked = func(string, string) {}
	}
	rest := remote.Backoff{First: restFirst, Last: restLast}
	kept := remote.CacheConfig{Size: maxKept, Fetches: 2 * maxCalls, Backoff: rest, Now: c.Now}
	return &Owner{
		cfg:       c,
		users:     remote.NewCache[*exchange.Principal](kept),
		decisions: remote.NewCache[bool](kept),
		client: remote.NewClient(remote.Config{
			Transport: c.Transport, Timeout: timeout, MaxAnswer: maxAnswer, Calls: maxCalls, Patience: patience, Backoff: rest, Now: c.Now,
			Judge: understood,
		}),
	}
}

// Close ends what is under way.
func (o *Owner) Close() {
	o.users.Close()
	o.decisions.Close()
	o.client.Close()
}

var (
	errRefused = errors.New("kubernetes: the API server does not let us ask")
	errInvalid = errors.New("kubernetes: the answer cannot be understood")
	errNone    = errors.New("kubernetes: there is no API server")
)

// understood reports what keeps an answer from being one.
func understood(a *remote.Answer) error {
	switch a.Status {
	case http.StatusOK, http.StatusCreated:
		var answer struct {
			Status *json.RawMessage `json:"status"`
		}
		if json.Unmarshal(a.Content, &answer) != nil || answer.Status == nil {
			return fmt.Errorf("%w: it has no status", errInvalid)
		}
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: it answered %d", errRefused, a.Status)
	}
	return fmt.Errorf("kubernetes: the API server answered %d", a.Status)
}

// api is a kind of review, such as TokenReview, tokenreviews of authentication.k8s.io.
type api struct{ group, resource, kind string }

// review creates a review and reads its status.
func review[Spec, Status any](ctx context.Context, o *Owner, of api, spec Spec) (status Status, err error) {
	if o.cfg.URL == "" {
		return status, errNone
	}
	content, err := json.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       Spec   `json:"spec"`
	}{of.group + "/v1", of.kind, spec})
	if err != nil {
		return status, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(o.cfg.URL, "/")+"/apis/"+of.group+"/v1/"+of.resource, bytes.NewReader(content))
	if err != nil {
		return status, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	a, err := o.client.Do(r)
	if err != nil {
		return status, err
	}
	return parse[Status](a.Content, of.kind)
}

// parse reads the status of a review.
func parse[Status any](content []byte, kind string) (status Status, err error) {
	var answer struct {
		Kind   string  `json:"kind"`
		Status *Status `json:"status"`
	}
	if err := json.Unmarshal(content, &answer); err != nil || answer.Kind != kind || answer.Status == nil {
		return status, fmt.Errorf("%w: it is no %s with a status", errInvalid, kind)
	}
	return *answer.Status, nil
}

// failed is the result where there is no answer.
func failed(err error) auth.Result {
	r := auth.Result{Outcome: auth.Unavailable, Code: auth.CodeClusterUnavailable, RetryAfter: retryAfter}
	switch {
	case errors.Is(err, remote.ErrBusy):
		r.Code = auth.CodeClusterBusy
	case errors.Is(err, errRefused):
		r.Code = auth.CodeClusterRefused
	}
	return r
}
