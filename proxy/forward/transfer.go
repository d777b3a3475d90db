package forward

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/router"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// transfer is one request on its way.
type transfer struct {
	x    *exchange.Exchange // that t stays with, as the call and left do with t
	call *upstream.Call
	left func() bool // gone, bound once

	f    *Forwarder
	d    *router.Destination
	last *upstream.Endpoint // that was asked; another one is better for the next try
	home *upstream.Endpoint // where the session is; nil: it begins now
	pin  *upstream.Endpoint // the same, until it cannot be reached

	introduction introduction
	limit        limit                          // zero where the rule has none
	cut          atomic.Pointer[exchange.Error] // why the request's content ended early, if it did
}

// carrier returns the transfer of x's requests: exchanges are pooled, so it has no pool of its own.
func carrier(x *exchange.Exchange) *transfer {
	t, ok := x.Carrier.(*transfer)
	if !ok {
		t = newTransfer(x)
	}
	return t
}

//go:noinline // it is rare: kept out of the plain path
func newTransfer(x *exchange.Exchange) *transfer {
	t := &transfer{x: x, call: upstream.NewCall()}
	t.left = t.gone
	x.Carrier = t
	return t
}

func (t *transfer) begin(f *Forwarder, d *router.Destination, pin *upstream.Endpoint) {
	t.f, t.d, t.home, t.pin = f, d, pin, pin
	var exact time.Time
	if !unlimited(&d.Timeouts) {
		t.limit.begin(t.x.Start, &d.Timeouts)
		exact = t.limit.at
	}
	t.call.Begin(t.x.Start, exact)
}

// end keeps t from holding on to anything.
func (t *transfer) end() {
	t.call.Release()
	if !unlimited(&t.d.Timeouts) {
		t.limit = limit{}
	}
	t.f, t.d, t.last, t.home, t.pin = nil, nil, nil, nil, nil
	if t.cut.Load() != nil {
		t.cut.Store(nil)
	}
}

func (t *transfer) run() {
	x := t.x
	lines := t.introduce()
	if t.d.GRPC || t.d.Upstream.HTTP2() {
		if lines != "" {
			t.introduction.add(&x.Request.Header)
		}
		t.call.StageHTTP2(x)
	} else {
		t.call.Stage(x, lines)
	}
	if x.Request.Body != nil {
		gathered, err := t.call.Gather(x.Request.Body, x.Request.ContentLength)
		if err != nil {
			reply(x, err)
			return
		}
		if !gathered {
			t.stream()
			return
		}
		if t.limit.backend > 0 { // it has been asked nothing yet
			t.try()
		}
	}
	err := t.ask()
	if t.d.Retry != nil {
		err = t.persist(err)
	}
	if err != nil {
		reply(x, err)
		return
	}
	t.answer()
}

// ask sends a request that is staged in whole, and reads the answer's head. It
// tries again, on another endpoint, what could not be sent; and, on a fresh
// connection to the same one, what an idle connection did not take because the
// backend was closing it, if the request may be sent twice (RFC 9110, section 9.2.2).
// Such a request is also tried on another endpoint, once, when a fresh connection is
// lost, as by a backend that ends before it has looked at what waits to be accepted.
func (t *transfer) ask() error {
	repeatable := t.x.Request.Method == "GET" || idempotent(t.x.Request.Method)
	for try, fresh, lost := 0, false, false; ; try++ {
		if !fresh {
			t.last = t.pick(t.last)
		}
		if err := t.connect(fresh, !repeatable); err != nil {
			if t.last == nil || try == t.f.cfg.Retries {
				return err
			}
			fresh = false
		} else {
			untouched, err := t.call.Ask(t.left)
			if err == nil {
				break
			}
			next := t.chance(err, untouched, repeatable)
			if next == none || try == t.f.cfg.Retries || next == elsewhere && (lost || t.pick(t.last) == t.last) {
				return t.limit.failure(err)
			}
			fresh, lost = next == afresh, lost || next == elsewhere
		}
		t.again()
	}
	if err := t.call.ReadHead(t.x.Request.Method, t.x.Request.Upgrade, t.left); err != nil {
		return t.limit.failure(err)
	}
	return nil
}

// chance is what else may be asked the same.
type chance uint8

const (
	none      chance = iota
	afresh           // the same endpoint, on a fresh connection
	elsewhere        // another endpoint
)

// chance drops the connection that err came from.
func (t *transfer) chance(err error, untouched, repeatable bool) chance {
	defer t.call.Drop()
	switch {
	case upstream.Timeout(err) || errors.Is(err, upstream.ErrGone):
		return none
	case untouched:
		return afresh
	case !repeatable || t.call.Answered():
		return none
	case t.call.Reused():
		return afresh
	case t.call.Shared(): // its stream was reset, or the answer makes no sense
		return none
	}
	return elsewhere
}

// connect gets a connection to the endpoint that is asked, which may be nil.
func (t *transfer) connect(fresh, careful bool) error {
	if t.last == nil {
		return errNoEndpoint
	}
	t.x.Trace.Endpoint = t.last.Address()
	if err := t.call.Connect(t.last, fresh, careful); err != nil {
		return t.unconnected(err)
	}
	return nil
}

var errNoEndpoint = &exchange.Error{Status: 503, Code: "no_healthy_backend", Detail: "the backend has no endpoints"}

func (t *transfer) unconnected(err *exchange.Error) error {
	t.pin = nil
	if !t.limit.at.IsZero() && !time.Now().Before(t.limit.at) {
		return t.limit.passed()
	}
	return err
}

// again begins another try.
func (t *transfer) again() {
	t.x.Trace.Retries++
	t.try()
}

// try begins the time of a try.
func (t *transfer) try() {
	now := time.Now()
	t.limit.try(now)
	t.call.Begin(now, t.limit.at)
}

//go:noinline // it is rare: kept out of the plain path
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// answer takes the answer whose head has been read to the client.
func (t *transfer) answer() {
	x, call := t.x, t.call
	r := &x.Response
	r.Status, r.ContentLength = call.Head.Status, call.Head.ContentLength
	r.Header, call.Head.Header = call.Head.Header, r.Header[:0]
	if d := t.d; d.Responses[0] != nil || d.Responses[1] != nil || d.Session != nil || len(x.Granted) > 0 {
		t.respond()
	}
	if call.Head.Status == 101 {
		t.tunnel()
	} else if code := t.pass(); code != "" {
		t.broken(code)
		x.EndGRPC()
	}
	// The strings are the call's, which ends before the exchange does.
	r.Header, r.Trailer = r.Header[:0], r.Trailer[:0]
	x.Trace.BytesOut += call.Passed()
}

// respond has the rule and those who let the request pass see to the answer's head.
func (t *transfer) respond() {
	for _, c := range t.d.Responses {
		if c != nil {
			c.Response(t.x)
		}
	}
	for _, m := range t.x.Granted {
		m.FilterResponse(t.x)
	}
	if t.d.Session != nil {
		t.remember()
	}
}

// pass writes the answer's head, and its content as it comes. It returns why that is
// not complete; nothing if it is.
func (t *transfer) pass() (broken string) {
	x, call := t.x, t.call
	if x.Writer.Head(x) != nil {
		return "client_closed"
	}
	for waits := 0; !call.Done(); {
		p, err := call.Next()
		if len(p) == 0 {
			waits++
			if broken = t.more(err, waits); broken != "" {
				return broken
			}
			continue
		}
		if _, err := x.Writer.Write(p); err != nil {
			return "client_closed"
		}
	}
	if call.Trailers() {
		t.trailer()
	}
	if x.Writer.End(x) != nil {
		return "client_closed"
	}
	return ""
}

func (t *transfer) trailer() {
	t.x.Response.Trailer = append(t.x.Response.Trailer[:0], t.call.Trailer()...)
}

// more waits for content where Next has returned none, with err.
func (t *transfer) more(err error, waits int) (broken string) {
	if err == nil {
		if t.x.Writer.Flush() != nil {
			return "client_closed"
		}
		if waits == 2 { // what is short has all come by now
			t.relayAnswer()
		}
		err = t.call.Await(t.left)
	}
	if err == nil || t.call.Done() {
		return ""
	}
	return t.cause(err)
}

// cause names what err, of an answer that has begun, comes from.
func (t *transfer) cause(err error) string {
	var e *exchange.Error
	switch cut := t.cut.Load(); {
	case errors.Is(err, upstream.ErrGone):
		return "client_closed"
	case cut != nil:
		return cut.Code
	case errors.As(err, &e) && e.Code == "backend_cancelled":
		return e.Code
	}
	return "backend_aborted"
}

// gone reports whether the client has left.
func (t *transfer) gone() bool {
	if t.x.Context != nil {
		return t.x.Context.Err() != nil
	}
	w, ok := t.x.Writer.(exchange.Watched)
	return ok && w.Gone()
}

// broken notes why an answer that has begun is not completed. The protocol
// breaks it off, because End was not called.
func (t *transfer) broken(code string) { t.x.Response.Code = code }

// patience is how long the sending of content may go on after the answer is
// complete; most times it is over already.
const patience = 50 * time.Millisecond

// stream sends a request while its content comes in, and takes the answer to
// the client as soon as there is one, be the content complete or not.
func (t *transfer) stream() {
	x, call := t.x, t.call
	if err := t.open(); err != nil {
		reply(x, err)
		return
	}
	body := x.Request.Body
	if err := body.Continue(); err != nil {
		t.broken("client_closed")
		return
	}
	sent := make(chan error, 1)
	go func() { sent <- t.pump() }()
	err := call.ReadHead(x.Request.Method, "", t.left)
	if err == nil {
		t.answer()
		if t.finished(sent) {
			return
		}
	}
	body.Cancel()
	call.Abort()
	perr := <-sent
	if err != nil {
		t.explain(err, perr)
	}
}

// finished reports whether all content has gone to the backend.
func (t *transfer) finished(sent chan error) bool {
	wait := patience
	if t.call.Shared() {
		wait = patience / 50 // there is no connection to save
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-sent:
		if err == nil {
			t.call.Sent()
		}
		sent <- err
		return err == nil
	case <-timer.C:
		return false
	}
}

// explain answers when there is no answer of the backend: it is the client's
// fault if its content failed, else the backend's.
func (t *transfer) explain(err, perr error) {
	var e *exchange.Error
	if errors.As(perr, &e) && e.Code != "cancelled" {
		reply(t.x, e)
		return
	}
	reply(t.x, t.limit.failure(err))
}

// open connects and sends the head. Content can be sent only once, so nothing
// is tried again after that.
func (t *transfer) open() error {
	for try := 0; ; try++ {
		if try > 0 {
			t.again()
		}
		t.last = t.pick(t.last)
		last := try == t.f.cfg.Retries
		if err := t.connect(false, true); err != nil {
			if last || t.last == nil {
				return err
			}
			continue
		}
		untouched, err := t.call.Send()
		if err == nil {
			return nil
		}
		t.call.Drop()
		if last || !untouched {
			return t.limit.failure(err)
		}
	}
}

// pump sends the content. Errors are the client's; when the backend takes no
// more, its answer tells why.
func (t *transfer) pump() error {
	body := t.x.Request.Body
	direct, _ := body.(exchange.Relayed)
	from, pipe := t.splice()
	defer t.f.pipes.put(pipe)
	for {
		if pipe != nil && from.Fill(pipe) > 0 {
			if t.call.Pass(pipe) != nil {
				return errRefused
			}
			continue
		}
		if direct != nil && t.relayRequest(direct) {
			direct = nil
		}
		p, err := body.Next()
		if len(p) > 0 {
			if t.call.Write(p) != nil {
				return errRefused
			}
		}
		if err == io.EOF {
			t.x.Request.Trailer.DropLike(t.x.Request.Reserved)
			t.x.Request.Trailer.DropLike(ours)
			if t.call.Last(t.x.Request.Trailer) != nil {
				return errRefused
			}
			return nil
		}
		if err != nil {
			e := upstream.ErrGone
			_ = errors.As(err, &e)
			t.cut.Store(e)
			t.call.Abort()
			return err
		}
	}
}

var errRefused = errors.New("forward: the backend takes no more content")
