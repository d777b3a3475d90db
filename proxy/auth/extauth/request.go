package extauth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// request makes what the service is sent, in memory of its own: a call may go on
// for a moment after x is over. Without one, the result says why not.
func (s *Service) request(x *exchange.Exchange, r *room) (*http.Request, auth.Result) {
	var content []byte
	if s.t.MaxBody > 0 && x.Request.Body != nil {
		var refused auth.Result
		if content, refused = s.content(x, r); refused.Code != "" {
			return nil, refused
		}
	}
	if s.t.GRPC {
		return s.check(x, content), auth.Result{}
	}
	return s.http(x, content), auth.Result{}
}

// firstBuffer is what reading content starts with, whatever length is announced.
const firstBuffer = 16 << 10

// content reads as much of x's content as the service may see.
func (s *Service) content(x *exchange.Exchange, r *room) ([]byte, auth.Result) {
	limit, length := s.t.MaxBody, x.Request.ContentLength
	if length > limit && !s.t.Partial {
		return nil, tooLarge()
	}
	content, err := x.Hold(make([]byte, 0, min(limit, firstBuffer)), limit, r)
	switch {
	case errors.Is(err, exchange.ErrNoRoom):
		return nil, s.failed(remote.ErrBusy)
	case errors.Is(err, exchange.ErrTooLarge) && s.t.Partial:
		return content[:limit], auth.Result{}
	case errors.Is(err, exchange.ErrTooLarge):
		return nil, tooLarge()
	case err != nil:
		return nil, auth.Result{Outcome: auth.Rejected, Code: auth.CodeExternal, Answer: &auth.Answer{Failure: err}}
	}
	return content, auth.Result{}
}

func tooLarge() auth.Result {
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeExternalTooLarge, Answer: &auth.Answer{Status: 413}}
}

// http makes the request to an HTTP service: the caller's method, host, path and
// query, the fields it may see, and the content if it may see that. It is a question,
// which net/http asks again, whatever the method, where its connection was just closed.
func (s *Service) http(x *exchange.Exchange, content []byte) *http.Request {
	q := &x.Request
	r := &http.Request{
		Method: strings.Clone(q.Method), URL: s.target(q), Host: strings.Clone(q.Authority), Header: http.Header{"User-Agent": nil, "Idempotency-Key": nil},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if len(content) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	}
	for i := range q.Header {
		f := &q.Header[i]
		name := strings.ToLower(f.Name)
		if name != "" && s.sees(name) && !introduces(name) && !hop(name) {
			r.Header.Add(strings.Clone(name), strings.Clone(f.Value))
		}
	}
	for i, name := range introduced {
		if s.sees(name) {
			r.Header.Set(name, strings.Clone(s.owner.introduction(x, i)))
		}
	}
	if s.t.Forwarded {
		s.forwarded(x, r.Header)
	}
	return r
}

// target is where q is asked about, with its path to the letter.
func (s *Service) target(q *exchange.Request) *url.URL {
	u := s.endpoint
	u.Path, u.Opaque, u.RawQuery, u.ForceQuery = "", strings.Clone(s.endpoint.Path+q.Path), strings.Clone(q.RawQuery), q.EmptyQuery
	if strings.HasPrefix(u.Opaque, "//") { // net/http would make an absolute target of it, whose host counts and not the caller's
		u.RawPath = strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E", "^", "%5E", "`", "%60", "{", "%7B", "|", "%7C", "}", "%7D").Replace(u.Opaque)
		u.Path, _ = url.PathUnescape(u.RawPath)
		u.Opaque = ""
	}
	return &u
}

// forwarded adds the fields by which services of forward authentication know
// what is asked.
func (s *Service) forwarded(x *exchange.Exchange, h http.Header) {
	q := &x.Request
	h.Set("X-Forwarded-For", q.ClientIP.Unmap().String())
	h.Set("X-Forwarded-Method", strings.Clone(q.Method))
	h.Set("X-Forwarded-Proto", q.Scheme)
	h.Set("X-Forwarded-Host", strings.Clone(q.Authority))
	h.Set("X-Forwarded-Uri", strings.Clone(q.Target()))
}

// check makes the request to a gRPC service.
func (s *Service) check(x *exchange.Exchange, content []byte) *http.Request {
	message := s.checkRequest(x, content, time.Now())
	timeout := s.t.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &http.Request{
		Method: http.MethodPost, Host: s.endpoint.Host, ContentLength: int64(len(message)), Proto: "HTTP/2.0", ProtoMajor: 2,
		URL: &url.URL{Scheme: s.endpoint.Scheme, Host: s.endpoint.Host, Path: s.endpoint.Path + "/envoy.service.auth.v3.Authorization/Check"},
		Header: http.Header{
			"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"gatehouse"},
			"Grpc-Timeout": {strconv.FormatInt(max(1, timeout.Milliseconds()), 10) + "m"},
		},
		Body:    io.NopCloser(bytes.NewReader(message)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(message)), nil },
	}
}
