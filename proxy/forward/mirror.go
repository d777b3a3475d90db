package forward

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Mirrors is what mirrored requests may cost. Zero fields mean the default.
type Mirrors struct {
	Requests int           // under way at one time, 256; further ones are dropped
	Content  int           // bytes of one's content, 64 KiB; requests with more are not mirrored
	Time     time.Duration // of one, from the head to the end of the answer, 10 s
}

func (m *Mirrors) defaults() {
	if m.Requests <= 0 {
		m.Requests = 256
	}
	if m.Content <= 0 {
		m.Content = 64 << 10
	}
	if m.Time <= 0 {
		m.Time = 10 * time.Second
	}
}

// What became of a request that was to be mirrored, as the metrics name it.
const (
	mirrorAnswered = "answered"
	mirrorFailed   = "failed"    // the backend could not be reached, or its answer was malformed
	mirrorDropped  = "dropped"   // too many were under way
	mirrorTooLarge = "too_large" // content over Mirrors.Content
	mirrorBroken   = "broken"    // the request itself was not read to its end
)

// mirror is one request on its way to other backends beside its own (GEP-3171).
// They get what the route's filters made of it, once its content is complete.
type mirror struct {
	f       *Forwarder
	to      []*upstream.Backend
	conn    exchange.Conn
	request exchange.Request // of strings of its own
	content *tee             // nil when there is none
	grpc    bool             // router.Destination.GRPC
}

// sendMirrored is Send of a request that is mirrored.
func (f *Forwarder) sendMirrored(x *exchange.Exchange, a *router.Action, b *router.Backend, pin *upstream.Endpoint) {
	m := f.mirror(x, a, b)
	f.Send(x, &b.Destination, pin)
	if m != nil {
		m.end(x)
	}
}

// mirror returns what mirrors x, for those whose share takes this request; nil
// when none does. x's content must be read after that.
func (f *Forwarder) mirror(x *exchange.Exchange, a *router.Action, b *router.Backend) *mirror {
	if x.Request.Upgrade != "" {
		return nil // a tunnel has no copy
	}
	m := &mirror{f: f, grpc: a.Table.GRPC}
	for _, list := range [][]router.Mirror{a.Mirrors, b.Mirrors} {
		for i := range list {
			if list[i].Takes(rand.Uint32()) {
				m.to = append(m.to, list[i].Backend)
			}
		}
	}
	if len(m.to) == 0 {
		return nil
	}
	m.conn, m.request = *x.Conn, kept(&x.Request)
	m.conn.Socket = nil // which the copy may outlast
	if body := x.Request.Body; body != nil {
		m.content = &tee{Body: body, max: f.cfg.Mirrors.Content}
		x.Request.Body = m.content
		return m
	}
	m.send(nil)
	return m
}

// end is called when x is over: content, if any, has been read, and what came behind it.
func (m *mirror) end(x *exchange.Exchange) {
	switch {
	case m.content == nil:
	case m.content.over:
		m.count(mirrorTooLarge)
	case !m.content.whole:
		m.count(mirrorBroken)
	default:
		m.request.Trailer = cloned(x.Request.Trailer)
		m.request.Trailer.DropLike(x.Request.Reserved)
		m.send(m.content.copy)
	}
}

func (m *mirror) count(outcome string) {
	for _, b := range m.to {
		m.f.cfg.Mirrored.Add(b.ID(), outcome)
	}
}

// send sends the copies, each in a goroutine of its own as long as there are not
// too many.
func (m *mirror) send(content []byte) {
	for _, b := range m.to {
		select {
		case m.f.mirrors <- struct{}{}:
			m.f.running.Go(func() {
				m.f.cfg.Mirrored.Add(b.ID(), m.ask(b, content))
				<-m.f.mirrors
			})
		default:
			m.f.cfg.Mirrored.Add(b.ID(), mirrorDropped)
		}
	}
}

func (m *mirror) ask(b *upstream.Backend, content []byte) string {
	x := copies.Get().(*exchange.Exchange)
	conn, header, trailer := m.conn, append(x.Request.Header[:0], m.request.Header...), append(x.Request.Trailer[:0], m.request.Trailer...)
	x.Request, x.Conn, x.Start = m.request, &conn, time.Now()
	x.Request.Header, x.Request.Trailer = header, trailer
	if m.content != nil {
		x.Request.Body, x.Request.ContentLength = &exchange.Buffered{Content: content}, int64(len(content))
	}
	if len(trailer) > 0 {
		x.Request.ContentLength = -1 // over HTTP/1.1 they come behind chunks alone
	}
	m.f.Send(x, &router.Destination{Upstream: b, Timeouts: table.Timeouts{Request: m.f.cfg.Mirrors.Time}, GRPC: m.grpc}, nil)
	outcome := mirrorAnswered
	if x.Response.Code != "" {
		outcome = mirrorFailed
	}
	x.Reset()
	x.Conn = nil
	copies.Put(x)
	return outcome
}

// copies are exchanges of mirrored requests that are over.
var copies = sync.Pool{New: func() any { return &exchange.Exchange{Writer: nowhere{}} }}

// kept returns r without its content, and with strings that outlive its exchange.
func kept(r *exchange.Request) exchange.Request {
	out := exchange.Request{
		Method: strings.Clone(r.Method), Scheme: strings.Clone(r.Scheme), Authority: strings.Clone(r.Authority), Host: strings.Clone(r.Host),
		Path: strings.Clone(r.Path), RawQuery: strings.Clone(r.RawQuery), TargetForm: exchange.TargetForm{EmptyQuery: r.EmptyQuery}, ClientIP: r.ClientIP,
	}
	out.Header = cloned(r.Header)
	return out
}

// cloned returns h with strings of its own.
func cloned(h exchange.Header) (out exchange.Header) {
	for i := range h {
		if h[i].Name != "" {
			out.Add(strings.Clone(h[i].Name), strings.Clone(h[i].Value))
		}
	}
	return out
}

// tee is content that is copied as it is read.
type tee struct {
	exchange.Body
	copy  []byte
	max   int  // bytes of it
	whole bool // all of it has been read
	over  bool // it is too large to be kept
}

// Next implements exchange.Body.
func (t *tee) Next() ([]byte, error) {
	p, err := t.Body.Next()
	if t.over = t.over || len(t.copy)+len(p) > t.max; t.over {
		t.copy = nil
	} else {
		t.copy = append(t.copy, p...)
	}
	t.whole = t.whole || err == io.EOF
	return p, err
}

// nowhere is where the answers to mirrored requests go.
type nowhere struct{}

// Head implements exchange.Writer.
func (nowhere) Head(*exchange.Exchange) error { return nil }

// Write implements exchange.Writer.
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Flush implements exchange.Writer.
func (nowhere) Flush() error { return nil }

// End implements exchange.Writer.
func (nowhere) End(*exchange.Exchange) error { return nil }
