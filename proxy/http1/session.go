package http1

import (
	"sync"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// session is what a connection needs while it has a request, or part of one.
// Sessions are pooled: idle connections have none.
type session struct {
	conn     *conn
	in       []byte // what was read; the head's strings are views of it
	r, w     int    // unread are in[r:w]
	borrowed bool   // in is a pooled buffer
	x        exchange.Exchange
	head     wire.RequestHead
	body     body
	out      writer

	own [mem.Small]byte // what in is most times
}

var sessions = sync.Pool{New: func() any {
	s := &session{}
	s.in = s.own[:]
	s.head.Header = make(exchange.Header, 0, 32)
	s.x.Response.Header = make(exchange.Header, 0, 32)
	s.x.Writer = &s.out
	s.body.s, s.out.s = s, s
	s.out.buf = make([]byte, 0, mem.Small)
	return s
}}

// getSession returns a session of c.
func getSession(c *conn) *session {
	s := sessions.Get().(*session)
	s.conn, s.x.Conn = c, c.info
	return s
}

// release gives the session and its buffers back.
func (s *session) release() {
	if s.borrowed {
		s.setInput(nil)
	}
	if h := s.x.Request.Header; cap(h) > cap(s.head.Header) { // it has grown since the request was parsed
		s.head.Header = h[:0]
	}
	s.out.free()
	s.body.free()
	s.conn, s.x.Conn, s.r, s.w, s.x.Took = nil, nil, 0, 0, 0
	sessions.Put(s)
}

// setInput makes b, a pooled buffer, the input; nil goes back to the session's
// own. Nothing that is a view of the input before is good any more.
func (s *session) setInput(b []byte) {
	if s.borrowed {
		putBuffer(s.in)
	}
	if s.in, s.borrowed = b, b != nil; b == nil {
		s.in = s.own[:]
	}
}

// putBuffer gives a pooled buffer back; others are left to the collector.
func putBuffer(b []byte) {
	switch cap(b) {
	case mem.Small:
		mem.PutSmall(b)
	case mem.Large:
		mem.PutLarge(b)
	}
}

// room returns where to read to. There is always some: a head that fills up all
// it may have has been refused before.
func (s *session) room() []byte {
	if s.r == s.w {
		s.r, s.w = 0, 0
	}
	if s.w < len(s.in) {
		return s.in[s.w:]
	}
	if s.r > 0 {
		s.w = copy(s.in, s.in[s.r:s.w])
		s.r = 0
		return s.in[s.w:]
	}
	var b []byte
	if len(s.in) < mem.Large {
		b = mem.GetLarge()
	} else {
		b = make([]byte, 2*len(s.in))
	}
	s.w = copy(b, s.in[:s.w])
	s.setInput(b)
	return s.in[s.w:]
}

// fill makes x the request that head has.
func (s *session) fill() {
	h, x := &s.head, &s.x
	r := &x.Request
	r.Method, r.Path, r.RawQuery, r.EmptyQuery = h.Method, h.Path, h.RawQuery, h.EmptyQuery
	x.To(h.Authority)
	r.Scheme = "http"
	if x.Conn.TLS {
		r.Scheme = "https"
	}
	r.Header = h.Header
	r.ContentLength = h.ContentLength
	r.Upgrade = h.Upgrade
	r.Body = nil
	if h.ContentLength != 0 {
		s.body.begin(h)
		r.Body = &s.body
	}
	s.out.begin()
}

// flawed says what is wrong with chunks that have come with the head: then no backend is
// to see that either.
func (s *session) flawed() *exchange.Error {
	if !s.head.Chunked || s.r == s.w {
		return nil
	}
	_, err := s.body.chunks.Check(s.in[s.r:s.w])
	return err
}
