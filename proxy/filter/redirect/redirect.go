// Package redirect answers requests with another location
// (HTTPRequestRedirectFilter of Gateway API, GEP-726).
//
// proxy/router makes the filter from a rule's table.Redirect and puts it into
// the rule's chain, where it ends every request. It calls proxy/filter for the
// path. Nothing is allocated but from the exchange's arena.
package redirect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/filter"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Filter redirects.
type Filter struct {
	scheme   string // empty: the request's
	hostname string // empty: the request's
	path     *filter.Path
	port     uint16 // 0: by the rule of GEP-726
	status   int
}

// New checks a redirect.
func New(t *table.Redirect) (*Filter, error) {
	f := &Filter{scheme: strings.ToLower(t.Scheme), hostname: t.Hostname, port: t.Port, status: t.Status}
	if f.scheme != "" && f.scheme != "http" && f.scheme != "https" {
		return nil, fmt.Errorf("redirect scheme %q is neither http nor https", t.Scheme)
	}
	switch t.Status {
	case 0:
		f.status = 302
	case 301, 302, 303, 307, 308:
	default:
		return nil, fmt.Errorf("redirect status %d is none of 301, 302, 303, 307 and 308", t.Status)
	}
	if filter.MalformedHostname(t.Hostname) {
		return nil, fmt.Errorf("redirect host name %q is malformed", t.Hostname)
	}
	if t.Path != nil {
		var err error
		if f.path, err = filter.NewPath(t.Path); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// FilterRequest implements filter.Request: it always answers.
func (f *Filter) FilterRequest(x *exchange.Exchange) bool {
	r := &x.Request
	scheme, path := f.scheme, r.Path
	if scheme == "" {
		scheme = r.Scheme
	}
	if f.path != nil {
		path = f.path.Apply(path, &x.Arena)
	}
	const most = len("https://[]:65535?") + 45 // 45: the longest text of an address
	b := x.Arena.Alloc(len(f.hostname) + len(r.Host) + len(path) + len(r.RawQuery) + most)[:0]
	b = append(b, scheme...)
	b = append(b, "://"...)
	b = f.appendHost(b, x)
	if p := f.portFor(x); p != 0 && p != wellKnown(scheme) {
		b = strconv.AppendUint(append(b, ':'), uint64(p), 10)
	}
	if path != "*" {
		b = append(b, path...)
	}
	if r.RawQuery != "" || r.EmptyQuery {
		b = append(append(b, '?'), r.RawQuery...)
	}
	x.ReplyBody(f.status, "redirect", "", nil)
	x.Response.Header = append(x.Response.Header[:0], exchange.Field{Name: "Location", Value: mem.String(b)})
	return false
}

// appendHost appends the host name: the filter's, the request's, or for a
// client so old that it names none the address it reached.
func (f *Filter) appendHost(b []byte, x *exchange.Exchange) []byte {
	host := f.hostname
	if host == "" {
		host = x.Request.Host
	}
	switch {
	case host == "" && x.Conn.LocalAddr().Unmap().Is4():
		return x.Conn.LocalAddr().Unmap().AppendTo(b)
	case host == "":
		return append(x.Conn.LocalAddr().WithZone("").AppendTo(append(b, '[')), ']')
	case host[0] != '[' && strings.IndexByte(host, ':') >= 0:
		return append(append(append(b, '['), host...), ']')
	}
	return append(b, host...)
}

// portFor returns the redirect's port: as written, else the scheme's own if the
// scheme is written, else the listener's.
func (f *Filter) portFor(x *exchange.Exchange) uint16 {
	switch {
	case f.port != 0:
		return f.port
	case f.scheme != "":
		return wellKnown(f.scheme)
	}
	return x.Conn.Local.Port()
}

// wellKnown returns the port that a URL of that scheme leaves out.
func wellKnown(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}
