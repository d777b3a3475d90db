// Package remote asks services that help to decide on requests and are no
// backends of them: identity providers, authorization servers, sources of
// metadata.
//
// The leaves of proxy/auth make a Client for each service, from a URL
// (NewTransport) or from a backend (Through), and a Cache for what it answered.
// Everything here is bounded: calls at one time, their duration, the size of an
// answer, the answers kept. A service that is down, slow, or answers rubbish
// costs its own users an error, and nobody else anything.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// The errors that are not the service's.
var (
	ErrBusy     = errors.New("remote: as many calls are under way as there may be")
	ErrResting  = errors.New("remote: the service failed repeatedly and is left alone for a moment")
	ErrTooLarge = errors.New("remote: the answer is too large")
	ErrClosed   = errors.New("remote: closed")
)

// Config bounds a Client. Zero fields mean the default.
type Config struct {
	Transport http.RoundTripper   // NewTransport(8, nil) when nil; the Client owns it
	Timeout   time.Duration       // of one call, its answer read; 5 s
	MaxAnswer int64               // bytes of content; 1 MiB
	Calls     int                 // at one time, 256; further ones fail with ErrBusy
	Redirects int                 // followed, to https on the host that was asked; 0: a redirect is the answer
	Patience  int                 // failures in a row, of which no large answer is one, after which the service is left alone as Backoff says; 0: it never is
	Judge     func(*Answer) error // an answer it finds fault with is a failure too; nil: no answer is
	Backoff   Backoff             //
	Now       func() time.Time    // time.Now
}

// Client asks one service.
type Client struct {
	http  http.Client
	cfg   Config
	slots chan struct{} // as many as calls may be under way
	fails atomic.Int32  // in a row
	born  time.Time
	rests atomic.Int64 // until when the service is left alone, in nanoseconds since born; 0: it is not
}

// Answer is what a service answered.
type Answer struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Content []byte
}

// Weight is about how much memory JSON takes once it is read, and seldom less: a small
// object takes some sixty times its text.
func Weight(text []byte) int {
	const object, array, member = 480, 144, 48
	n := len(text)
	for _, c := range text {
		switch c {
		case '{':
			n += object
		case '[':
			n += array
		case ':', ',':
			n += member
		}
	}
	return n
}

// NewClient makes a Client. Close it.
func NewClient(c Config) *Client {
	if c.Transport == nil {
		c.Transport = NewTransport(8, nil)
	}
	c.Timeout = or(c.Timeout, 5*time.Second)
	c.MaxAnswer = or(c.MaxAnswer, 1<<20)
	c.Calls = or(c.Calls, 256)
	c.Backoff.defaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{
		cfg: c, slots: make(chan struct{}, c.Calls), born: c.Now(),
		http: http.Client{Transport: c.Transport, CheckRedirect: c.redirect},
	}
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// redirect says whether one is followed: only to https on the host that was
// asked, for what is sent there is not meant for others.
func (c *Config) redirect(r *http.Request, via []*http.Request) error {
	switch {
	case c.Redirects == 0:
		return http.ErrUseLastResponse
	case len(via) > c.Redirects || r.URL.Scheme != "https" || r.URL.Host != via[0].URL.Host:
		return fmt.Errorf("redirected to %s://%s; only https on the same host is followed", r.URL.Scheme, r.URL.Host)
	}
	return nil
}

// Do sends r and reads the answer, whatever its status. It never waits for other
// calls. An error says that there is no answer; it holds nothing of r but its URL.
func (c *Client) Do(r *http.Request) (*Answer, error) {
	if !c.admits() {
		return nil, ErrResting
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(r.Context(), c.cfg.Timeout)
	defer cancel()
	a, err := c.do(r.WithContext(ctx))
	if r.Context().Err() == nil { // else it is the caller who gave up
		c.note(err)
	}
	return a, err
}

func (c *Client) do(r *http.Request) (*Answer, error) {
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, c.cfg.MaxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", r.URL.Redacted(), err)
	case int64(len(content)) > c.cfg.MaxAnswer:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", r.URL.Redacted(), ErrTooLarge, c.cfg.MaxAnswer)
	}
	a := &Answer{Status: res.StatusCode, Header: res.Header, Trailer: res.Trailer, Content: content}
	if c.cfg.Judge != nil {
		if err := c.cfg.Judge(a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// HTTP returns the Client as libraries want one that bring their own requests.
// They call within its bounds, and follow no redirect: the secrets they send are
// for nobody else.
func (c *Client) HTTP() *http.Client {
	return &http.Client{
		Transport:     bounded{c},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type bounded struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.Status, Status: strconv.Itoa(a.Status), Header: a.Header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(a.Content)), ContentLength: int64(len(a.Content)),
	}, nil
}

// now counts nanoseconds from the Client's making, as a Cache does: a wall clock
// that is set back must not lengthen a rest.
func (c *Client) now() int64 { return int64(c.cfg.Now().Sub(c.born)) + 1 }

// admits reports whether the service may be asked. Once its rest is over one
// call finds out whether it is back, and the others go on waiting.
func (c *Client) admits() bool {
	until := c.rests.Load()
	if until == 0 {
		return true
	}
	now := c.now()
	return now >= until && c.rests.CompareAndSwap(until, now+int64(c.cfg.Timeout))
}

// note counts failures in a row. An answer that is too large says nothing of the
// service: it is so by what was asked, such as of whom, and others must not wait for that.
func (c *Client) note(err error) {
	switch {
	case c.cfg.Patience == 0:
	case err == nil, errors.Is(err, ErrTooLarge):
		if c.fails.Load() != 0 || c.rests.Load() != 0 { // a rest may have begun just after the last success
			c.fails.Store(0)
			c.rests.Store(0)
		}
	default:
		if n := int(c.fails.Add(1)); n >= c.cfg.Patience {
			c.rests.Store(c.now() + int64(c.cfg.Backoff.After(n-c.cfg.Patience+1)))
		}
	}
}

// Close closes the connections that are idle. Calls under way end by themselves.
func (c *Client) Close() { c.http.CloseIdleConnections() }
