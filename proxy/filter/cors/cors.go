// Package cors lets pages of other origins use a route (HTTPCORSFilter of
// Gateway API, GEP-1767; the CORS protocol of the Fetch standard).
//
// proxy/router makes the filter from a rule's table.CORS. proxy calls Admit
// before authentication, because browsers send no credentials with a preflight;
// the answers, a backend's or one of our own, are marked by FilterResponse.
// Nothing is allocated once the header has its capacity.
package cors

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// defaultMaxAge is how many seconds browsers keep a preflight's answer when
// nothing else is asked for.
const defaultMaxAge = 5

// Filter is what one rule says of other origins.
type Filter struct {
	any         bool // every origin is allowed
	origins     []origin
	credentials bool
	methods     string // as the answer has it; "*": whatever is asked for
	headers     string // the same
	expose      string // as the answer has it; empty for nothing
	maxAge      string // seconds
}

// origin is one that is allowed, in lower case.
type origin struct {
	scheme string // with "://"
	host   string // the end of it, if wild
	wild   bool
	port   string // with ":"; empty for the scheme's own
}

// New checks what a rule says of other origins.
func New(t *table.CORS) (*Filter, error) {
	f := &Filter{
		credentials: t.Credentials, methods: strings.Join(t.Methods, ", "), headers: strings.Join(t.Headers, ", "),
		expose: strings.Join(t.ExposeHeaders, ", "), maxAge: strconv.Itoa(defaultMaxAge),
	}
	for _, list := range []string{f.methods, f.headers, f.expose} {
		if strings.ContainsFunc(list, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			return nil, fmt.Errorf("%q has characters that no method or header name has", list)
		}
	}
	if t.MaxAge > 0 {
		f.maxAge = strconv.Itoa(int(t.MaxAge))
	}
	if f.credentials && f.expose == "*" {
		f.expose = "" // with credentials it would be the name of a header
	}
	for _, text := range t.Origins {
		if text == "*" {
			f.any = true
			continue
		}
		o, err := parse(text)
		if err != nil {
			return nil, err
		}
		f.origins = append(f.origins, o)
	}
	return f, nil
}

// parse reads "https://a.example.com", "https://*.example.com:8443" or "https://*".
func parse(text string) (origin, error) {
	o := origin{scheme: "https://"}
	rest, ok := strings.CutPrefix(strings.ToLower(text), o.scheme)
	if !ok {
		o.scheme = "http://"
		rest, ok = strings.CutPrefix(strings.ToLower(text), o.scheme)
	}
	o.host = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		o.host, o.port = rest[:i], rest[i:]
	}
	o.port = explicit(o.scheme, o.port)
	o.host, o.wild = strings.CutPrefix(o.host, "*")
	if !ok || o.host == "" && !o.wild || strings.ContainsAny(o.host, "/*?#@ ") {
		return origin{}, fmt.Errorf("%q is no origin; write https://a.example.com, https://*.example.com or *", text)
	}
	return o, nil
}

// explicit returns port unless it is the scheme's own, which origins leave out.
func explicit(scheme, port string) string {
	if scheme == "https://" && port == ":443" || scheme == "http://" && port == ":80" {
		return ""
	}
	return port
}

// takes reports whether text, an Origin field, is this origin.
func (o *origin) takes(text string) bool {
	if len(text) < len(o.scheme) || !mem.EqualFold(text[:len(o.scheme)], o.scheme) {
		return false
	}
	host, port := text[len(o.scheme):], ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i:]
	}
	if explicit(o.scheme, port) != o.port {
		return false
	}
	if o.wild {
		wild := len(host) - len(o.host)
		if wild <= 0 || strings.ContainsFunc(host[:wild], notOfHost) {
			return false
		}
		host = host[wild:]
	}
	return mem.EqualFold(host, o.host)
}

// notOfHost reports whether r cannot stand in the host of an origin. What programs
// take for the end of a host, such as / and #, is no label before the rest of it.
func notOfHost(r rune) bool {
	return (r < '0' || r > ':') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._[]", r)
}

// Admit notes which origin the answer to x may be shared with, for FilterResponse.
// It returns false when x is a preflight, after it has set up the answer.
func (f *Filter) Admit(x *exchange.Exchange) bool {
	from, _ := x.Request.Header.Get("origin")
	x.Request.Shared = f.share(from)
	method, preflight := x.Request.Header.Get("access-control-request-method")
	if !preflight || from == "" || x.Request.Method != "OPTIONS" {
		return true
	}
	a := &x.Response
	a.Header, a.Body, a.ContentLength = a.Header[:0], nil, 0
	a.Status, a.Code = 204, "cors_preflight"
	if x.Request.Shared == "" {
		return false
	}
	if f.methods == "*" {
		a.Header.Add("Access-Control-Allow-Methods", method)
	} else if f.methods != "" {
		a.Header.Add("Access-Control-Allow-Methods", f.methods)
	}
	if asked, ok := x.Request.Header.Get("access-control-request-headers"); ok && f.headers == "*" {
		a.Header.Add("Access-Control-Allow-Headers", asked)
	} else if f.headers != "" && f.headers != "*" {
		a.Header.Add("Access-Control-Allow-Headers", f.headers)
	}
	a.Header.Add("Access-Control-Max-Age", f.maxAge)
	return false
}

// share returns the value of Access-Control-Allow-Origin for a caller of that
// origin; empty for none.
func (f *Filter) share(from string) string {
	switch {
	case f.any && !f.credentials:
		return "*"
	case from == "" || from == "*": // no origin; a cache would hand "*" to those that are
		return ""
	case f.any:
		return from
	}
	for i := range f.origins {
		if f.origins[i].takes(from) {
			return from
		}
	}
	return ""
}

// FilterResponse marks an answer with what Admit found. What a backend says of
// other origins does not count: the route decides.
func (f *Filter) FilterResponse(x *exchange.Exchange) {
	h := &x.Response.Header
	h.Del("access-control-allow-origin")
	h.Del("access-control-allow-credentials")
	h.Del("access-control-expose-headers")
	if x.Request.Shared != "*" {
		h.Add("Vary", "Origin") // a cache must not hand one origin's answer to another
	}
	if x.Request.Shared == "" {
		return
	}
	h.Add("Access-Control-Allow-Origin", x.Request.Shared)
	if f.credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	if f.expose != "" {
		h.Add("Access-Control-Expose-Headers", f.expose)
	}
}
