// Package headers changes header fields of requests and answers
// (HTTPHeaderFilter of Gateway API): it sets, then adds, then removes.
//
// proxy/router makes the filters from a rule's table.HeaderEdit and puts them
// into its chain; a Request edits what is forwarded, a Response what is
// answered. Values are literal. Nothing is allocated once the header has its
// capacity.
package headers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Request is a filter of requests. Host is a field like others to it: setting
// or adding it changes the authority that is forwarded; it cannot be removed.
//
// What it sets or removes the caller does not send as a trailer field either: some
// backends take one for a field of the head.
type Request struct {
	edit edit
	host string
	own  []string // names of fields that are set or removed
}

// Response is a filter of answers.
type Response struct{ edit edit }

// edit has its names in lower case.
type edit struct {
	set, add []exchange.Field
	remove   []string
}

// NewRequest checks an edit of requests. The error names the field that cannot be edited.
func NewRequest(t *table.HeaderEdit) (*Request, error) {
	e, err := newEdit(t)
	if err != nil {
		return nil, err
	}
	f := &Request{edit: e}
	for _, fields := range []*[]exchange.Field{&f.edit.set, &f.edit.add} {
		for i := len(*fields) - 1; i >= 0; i-- {
			if (*fields)[i].Name == "host" {
				f.host = (*fields)[i].Value
				*fields = append((*fields)[:i:i], (*fields)[i+1:]...)
			}
		}
	}
	for i := range f.edit.set {
		f.own = append(f.own, f.edit.set[i].Name)
	}
	f.own = append(f.own, f.edit.remove...)
	return f, nil
}

// NewResponse checks an edit of answers. The error names the field that cannot be edited.
func NewResponse(t *table.HeaderEdit) (*Response, error) {
	e, err := newEdit(t)
	if err != nil {
		return nil, err
	}
	return &Response{edit: e}, nil
}

func newEdit(t *table.HeaderEdit) (edit, error) {
	var e edit
	var err error
	if e.set, err = newFields(t.Set); err != nil {
		return edit{}, err
	}
	if e.add, err = newFields(t.Add); err != nil {
		return edit{}, err
	}
	for _, name := range t.Remove {
		e.remove = append(e.remove, strings.ToLower(name))
	}
	return e, nil
}

func newFields(from []table.Header) ([]exchange.Field, error) {
	var out []exchange.Field
	for _, h := range from {
		name := strings.ToLower(h.Name)
		switch {
		case name == "" || strings.Trim(name, token) != "":
			return nil, fmt.Errorf("%q is no header name", h.Name)
		case strings.ContainsFunc(h.Value, control):
			return nil, fmt.Errorf("the value of %s has a control character", h.Name)
		}
		for _, f := range framing {
			if f == name {
				return nil, fmt.Errorf("%s belongs to the connection and cannot be set", h.Name)
			}
		}
		out = append(out, exchange.Field{Name: name, Value: strings.Trim(h.Value, " \t")})
	}
	return out, nil
}

// token has the characters of a field name in lower case (RFC 9110, section 5.6.2).
const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

// framing lists the fields that say how a message travels, not what it is.
var framing = []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// FilterRequest implements filter.Request.
func (f *Request) FilterRequest(x *exchange.Exchange) bool {
	if f.host != "" {
		x.Request.Authority = f.host
	}
	f.edit.apply(&x.Request.Header)
	if len(f.own) > 0 && x.Request.Body != nil && x.Request.ContentLength < 0 { // a trailer section may come
		if len(x.Request.Reserved) == 0 {
			x.Request.Reserved = f.own
		} else {
			x.Request.Reserved = slices.Concat(x.Request.Reserved, f.own)
		}
	}
	return true
}

// FilterResponse implements filter.Response.
func (f *Response) FilterResponse(x *exchange.Exchange) { f.edit.apply(&x.Response.Header) }

func (e *edit) apply(h *exchange.Header) {
	for i := range e.set {
		h.Set(e.set[i].Name, e.set[i].Value)
	}
	*h = append(*h, e.add...)
	for _, name := range e.remove {
		h.Del(name)
	}
}
