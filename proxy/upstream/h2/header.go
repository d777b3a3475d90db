package h2

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// request makes x's request the library's. Everything is copied: the library
// may look at it for a moment longer than x lives.
func (s *Stream) request(x *exchange.Exchange) *http.Request {
	q := &x.Request
	head := make(http.Header, len(q.Header)+2)
	put(head, q.Header)
	head.Set("Te", "trailers") // RFC 9113, section 8.2.2: trailer fields are passed on
	if head["User-Agent"] == nil {
		head["User-Agent"] = nil // else the library has one
	}
	authority := strings.Clone(q.Authority)
	r := &http.Request{
		Method: strings.Clone(q.Method), Host: authority, Header: head, Proto: "HTTP/2.0", ProtoMajor: 2,
		URL: &url.URL{Scheme: s.pool.dialer.scheme, Host: authority, Opaque: strings.Clone(q.Path), RawQuery: strings.Clone(q.RawQuery)},
	}
	if r.URL.Host == "" {
		r.URL.Host = s.pool.addr
		r.Host = s.pool.addr
	}
	if strings.HasPrefix(q.Path, "//") { // which would pass for an authority
		r.URL.Opaque = "//" + r.Host + q.Path
	}
	return r.WithContext(s.ctx)
}

// put adds fields to into, in memory of their own.
func put(into http.Header, fields exchange.Header) {
	size := 0
	for i := range fields {
		size += len(fields[i].Name) + len(fields[i].Value)
	}
	buf := make([]byte, 0, size)
	clone := func(s string) string {
		start := len(buf)
		buf = append(buf, s...)
		return mem.String(buf[start:])
	}
	for i := range fields {
		f := &fields[i]
		if f.Name == "" || connectionSpecific(f.Name) {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(clone(f.Name))
		into[name] = append(into[name], clone(f.Value))
	}
}

// take appends the library's fields to h.
func take(h exchange.Header, from http.Header) exchange.Header {
	for name, values := range from {
		if connectionSpecific(name) {
			continue
		}
		for _, v := range values {
			h.Add(name, v)
		}
	}
	return h
}

// connectionSpecific reports fields that HTTP/2 must not carry (RFC 9113, section
// 8.2.2), and Content-Length, which goes by other ways.
func connectionSpecific(name string) bool {
	for _, banned := range [...]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length"} {
		if len(name) == len(banned) && mem.EqualFold(name, banned) {
			return true
		}
	}
	return false
}
