package http3

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/section"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// stream is one request and its answer; reused.
type stream struct {
	exchange.Exchange
	k       *conn
	str     *quic.Stream
	in      input
	head    wire.RequestHead
	section section.Section
	body    body
	writer  writer
	broken  bool // reset by us
}

var streams = sync.Pool{New: func() any { return new(stream) }}

// fate is what became of a request.
type fate uint8

const (
	answered fate = iota
	failed
	wasted // through the client, and soon; see frame.Resets
)

// request serves the request of str.
func (k *conn) request(str *quic.Stream) fate {
	st := streams.Get().(*stream)
	st.begin(k, str)
	err := st.read()
	k.expect(-1)
	switch e := err.(type) { //nolint:errorlint // made here, never wrapped
	case nil:
		k.cfg.Handler.Handle(&st.Exchange)
	case *exchange.Error:
		st.refuse(e)
	case connError:
		k.close(quic.ApplicationErrorCode(e))
	default:
		st.reset(codeIncomplete)
	}
	f := st.fate()
	st.end()
	streams.Put(st)
	return f
}

// soon is within what time after its head a request is over that the client has taken back
// at once: who forwards it looks for its client a few times a second.
const soon = 5 * frame.ResetSoon

// fate looks at how a request ended, before end does away with that.
func (st *stream) fate() fate {
	if st.body.err == error(errIncomplete) || !st.writer.begun && withdrawn(st.Context) {
		if time.Since(st.Start) < soon {
			return wasted
		}
		return failed
	}
	if st.writer.state == ended {
		return answered
	}
	return failed
}

// withdrawn reports that an answer can no longer be sent on a stream though its connection
// goes on: the client wants none, or has sent what is malformed.
func withdrawn(stream context.Context) bool {
	var reset *quic.StreamError
	return stream.Err() != nil && errors.As(context.Cause(stream), &reset)
}

func (st *stream) begin(k *conn, str *quic.Stream) {
	st.k, st.str = k, str
	st.in = input{str: str, buf: mem.GetSmall()}
	st.section.Begin()
	st.writer.begin(st)
	st.body.begin(st)
	st.Conn, st.Writer, st.Context, st.Start = k.info, &st.writer, str.Context(), time.Time{}
}

// end leaves nothing of the request behind.
func (st *stream) end() {
	if st.writer.state != ended {
		st.reset(codeInternal) // so that the client cannot take a part of an answer for the whole
	}
	st.linger()
	if !st.in.end {
		st.str.CancelRead(codeNo) // what is left of the content is not wanted (section 4.1)
	}
	release(st.in.buf)
	st.writer.release()
	st.Reset()
	st.Conn, st.Writer, st.Context, st.k, st.str, st.in = nil, nil, nil, nil, nil, input{}
	st.head, st.broken = wire.RequestHead{}, false
}

// What is taken of content that nobody wants, once its request has been answered.
const (
	lingerTime = 2 * time.Second
	lingerMost = 16 << 20
)

// linger takes what a client still sends of a request that was answered early: to be
// told not to, though it is no error, takes the answer from browsers that have not
// read it yet.
func (st *stream) linger() {
	if st.in.end || st.broken || st.body.expect || st.body.messages || st.Request.Body == nil {
		return
	}
	_ = st.str.SetReadDeadline(time.Now().Add(lingerTime))
	for n := 0; n < lingerMost; {
		more, err := st.str.Read(st.in.buf)
		if n += more; err != nil {
			st.in.end = err == io.EOF
			return
		}
	}
}

// reset breaks the stream off, in both directions.
func (st *stream) reset(code quic.StreamErrorCode) {
	st.str.CancelRead(code)
	st.str.CancelWrite(code)
	st.writer.state, st.broken = ended, true
}

// refuse answers a request that the handler does not see, or resets its stream.
func (st *stream) refuse(err *exchange.Error) {
	st.Start = time.Now()
	st.Fail(err)
	if section.Malformed(err) {
		st.reset(codeMessage)
	} else {
		_ = st.WriteReply()                                           // a client that is gone needs no answer
		st.Request.Body, st.body.expect = &st.body, st.section.Expect // for linger: the client may be sending it
	}
	if refused := st.k.cfg.Refused; refused != nil {
		refused(&st.Exchange)
	}
}

// read reads the head of the request.
func (st *stream) read() error {
	c := st.k.cfg
	_ = st.str.SetReadDeadline(time.Now().Add(c.Timeouts.Head))
	length, err := st.headers()
	if err != nil {
		return err
	}
	if length > uint64(c.Limits.Head) {
		return section.ErrTooLong
	}
	block, err := st.in.whole(int(length))
	if err != nil {
		return err
	}
	if err := decode(st.k.cfg, block, st.take); err != nil {
		return err
	}
	st.Start = time.Now()
	if err := st.fill(); err != nil {
		return err
	}
	return st.content()
}

// headers finds the HEADERS frame of the request.
func (st *stream) headers() (length uint64, err error) {
	for {
		kind, length, err := st.in.frame()
		switch {
		case err == io.EOF:
			return 0, errReset // a stream without a request
		case err != nil:
			return 0, err
		case kind == frameHeaders:
			return length, nil
		case known(kind):
			return 0, connError(codeUnexpected)
		}
		if err := st.in.skip(length); err != nil {
			return 0, err
		}
	}
}

// known reports frame types with a meaning, which is another than the one looked for.
func known(kind uint64) bool { return kind <= 9 || kind == 0xd }

// fill makes a request of the fields.
func (st *stream) fill() error {
	f, c := &st.section, st.k.cfg
	if err := f.Fill(&st.Exchange, &st.head, c.Limits, false); err != nil { // whether there is content is not known yet
		return err
	}
	st.Request.ContentLength = f.Length
	if c.MaxBody > 0 && f.Length > c.MaxBody {
		return errTooLarge
	}
	return nil
}

// content finds out whether the request has any. Where its length is 0, or is not said
// and its method has content seldom, what comes next is waited for: the end, as a rule,
// in a packet of its own.
func (st *stream) content() error {
	b, q := &st.body, &st.Request
	if st.in.end || q.ContentLength == 0 || q.ContentLength < 0 && plain(q.Method) {
		if err := b.frame(); err != nil && err != io.EOF {
			return b.fail(err)
		} else if err == io.EOF {
			b.err = io.EOF
		}
	}
	if b.err == io.EOF {
		if q.ContentLength > 0 {
			return section.ErrLength
		}
		q.ContentLength = 0
		return nil
	}
	if q.ContentLength != 0 {
		b.expect = st.section.Expect
		if b.messages = st.Messages(); b.messages {
			b.patience, b.limit = max(b.patience, st.k.cfg.Timeouts.Stream), 0
		}
		q.Body = b
	}
	return nil
}

// plain reports methods whose requests have no content as a rule.
func plain(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "DELETE", "TRACE":
		return true
	}
	return false
}
