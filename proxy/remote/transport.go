package remote

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// The bounds of connections to a URL.
const (
	handshake = 5 * time.Second
	idleTime  = time.Minute
	maxHead   = 64 << 10
	silence   = 20 * time.Second // of a connection of HTTP/2, after which it is asked whether it is still there
	proof     = 5 * time.Second  // for it to say so
)

// NewTransport returns a transport to URLs that keeps so many idle connections a
// host. One of HTTP/2 whose other end is gone without a word would take every call
// until the kernel gives it up, which takes a quarter of an hour.
//
// It leads to no link-local address and to none of a cloud's (clouds), whatever name
// has it: the services of the node are there, and give its credentials to who asks
// from the pod, but are not for those who may write a URL into a policy. Nor does it
// lead to the socket that listens for operators, who are answered without a credential;
// nil when there is none.
func NewTransport(idle int, operators net.Addr) *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{Control: aloof(operators)}).DialContext,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: proof},
		Proxy:       http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: handshake,
		MaxIdleConnsPerHost: idle, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxHead,
	}
}

// defaultWait is how long a call through a backend may take whose request has no
// deadline.
const defaultWait = 30 * time.Second

// Through returns a transport to the endpoints of b, by its pools and its TLS
// settings. With http2 it speaks HTTP/2, as gRPC does, whatever b is marked with. Its requests' contents must
// be in memory. What cannot have reached an endpoint is sent to another.
func Through(b *upstream.Backend, http2 bool) http.RoundTripper { return &through{b, http2} }

type through struct {
	backend *upstream.Backend
	http2   bool
}

// tries is how many endpoints, or connections, one request is offered to.
const tries = 3

// RoundTrip implements http.RoundTripper.
func (t *through) RoundTrip(r *http.Request) (*http.Response, error) {
	content, err := contentOf(r)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	until, ok := r.Context().Deadline()
	if !ok {
		until = now.Add(defaultWait)
	}
	x := t.exchange(r, content)
	c := &call{Call: calls.Get().(*upstream.Call), ctx: r.Context()}
	c.Begin(now, until)
	if t.http2 || t.backend.HTTP2() {
		c.StageHTTP2(x)
	} else {
		c.Stage(x, "")
	}
	if err := t.ask(c, x, content, now); err != nil {
		c.release()
		return nil, c.fault(err)
	}
	if err := c.ReadHead(r.Method, "", nil); err != nil {
		c.release()
		return nil, c.fault(err)
	}
	return c.response(r), nil
}

// contentOf reads r's content.
func contentOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer func() { _ = r.Body.Close() }()
	return io.ReadAll(r.Body)
}

func (t *through) exchange(r *http.Request, content []byte) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{}, Context: r.Context()}
	q := &x.Request
	q.Method, q.Scheme, q.Authority = r.Method, "http", r.Host
	if q.Authority == "" {
		q.Authority = r.URL.Host
	}
	q.Path, q.RawQuery = path(r.URL), r.URL.RawQuery
	for name, values := range r.Header {
		for _, v := range values {
			q.Header.Add(name, v)
		}
	}
	if r.Body != nil {
		q.ContentLength, q.Body = int64(len(content)), &exchange.Buffered{Content: content}
	}
	return x
}

// path returns the path as it is sent, which is Opaque to the letter where it is set.
func path(u *url.URL) string {
	p := u.Opaque
	if p == "" {
		p = u.EscapedPath()
	}
	if p == "" {
		return "/"
	}
	return p
}

// ask sends the request and waits for the answer to begin.
func (t *through) ask(c *call, x *exchange.Exchange, content []byte, now time.Time) error {
	gathered := true
	if x.Request.Body != nil {
		var err error
		if gathered, err = c.Gather(x.Request.Body, x.Request.ContentLength); err != nil {
			return err
		}
	}
	var e *upstream.Endpoint
	fresh := false
	for try := 1; ; try++ {
		if !fresh {
			if e = t.backend.Pick(e, now); e == nil {
				return upstream.ErrNoEndpoint
			}
		}
		if err := c.Connect(e, fresh, true); err != nil {
			if try == tries || c.ctx.Err() != nil {
				return err
			}
			fresh = false
			continue
		}
		c.watch()
		untouched, err := c.send(gathered, content)
		if err == nil {
			return nil
		}
		again := untouched || c.Reused() && !c.Answered()
		c.unwatch()
		c.Drop()
		if !again || try == tries || c.ctx.Err() != nil || upstream.Timeout(err) {
			return err
		}
		fresh = true
	}
}

// calls are upstream.Calls that are over.
var calls = sync.Pool{New: func() any { return upstream.NewCall() }}

// call is an upstream.Call that ends with a context.
type call struct {
	*upstream.Call
	ctx     context.Context
	stop    func() bool
	aborted chan struct{}
}

// fault returns what stands behind an error of the connection.
func (c *call) fault(err error) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return err
}

// watch breaks the call off when ctx ends.
func (c *call) watch() {
	aborted := make(chan struct{})
	c.aborted = aborted
	c.stop = context.AfterFunc(c.ctx, func() {
		c.Abort()
		close(aborted)
	})
}

func (c *call) unwatch() {
	if c.stop != nil && !c.stop() {
		<-c.aborted
		c.Drop()
	}
	c.stop = nil
}

func (c *call) release() {
	c.unwatch()
	c.Release()
	calls.Put(c.Call)
}

func (c *call) send(gathered bool, content []byte) (untouched bool, err error) {
	if gathered {
		return c.Ask(nil)
	}
	if untouched, err = c.Send(); err != nil {
		return untouched, err
	}
	if err = c.Write(content); err == nil {
		err = c.Last(nil)
	}
	if err == nil {
		c.Sent()
	}
	return false, err
}

func (c *call) response(r *http.Request) *http.Response {
	h := &c.Head
	res := &http.Response{
		StatusCode: h.Status, Status: exchange.StatusText(h.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: fields(h.Header), ContentLength: h.ContentLength, Trailer: http.Header{}, Request: r,
	}
	res.Body = &body{call: c, trailer: res.Trailer}
	return res
}

// body is the content of an answer.
type body struct {
	call    *call // nil once it is closed
	trailer http.Header
	rest    []byte
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.call == nil {
		return 0, errClosed
	}
	for len(b.rest) == 0 {
		next, err := b.call.Next()
		if err == io.EOF {
			maps.Copy(b.trailer, fields(b.call.Trailer()))
			return 0, err
		}
		if err == nil && len(next) == 0 {
			if err = b.call.Fill(); err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
		}
		if err != nil {
			return 0, b.call.fault(err)
		}
		b.rest = next
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer. What has been read in whole leaves its connection
// for others.
func (b *body) Close() error {
	if b.call != nil {
		b.call.release()
		b.call = nil
	}
	return nil
}

// fields returns h in memory of its own.
func fields(h exchange.Header) http.Header {
	out := make(http.Header, len(h))
	for i := range h {
		if h[i].Name != "" {
			out.Add(strings.Clone(h[i].Name), strings.Clone(h[i].Value))
		}
	}
	return out
}

var errClosed = errors.New("remote: read after close")
