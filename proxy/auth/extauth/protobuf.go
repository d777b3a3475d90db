package extauth

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// The messages of envoy.service.auth.v3 are written and read by hand, field by
// field: we use a dozen of their fields, and their generated types bring with
// them half of Envoy's API. Numbers are those of external_auth.proto,
// attribute_context.proto, base.proto and address.proto.

// prefixSize is what stands before a message of gRPC: whether it is compressed,
// and its length.
const prefixSize = 5

// message appends fields.
type message []byte

func (m *message) text(n protowire.Number, s string) {
	if s == "" {
		return
	}
	*m = protowire.AppendTag(*m, n, protowire.BytesType)
	*m = protowire.AppendString(*m, strings.ToValidUTF8(s, "!")) // else the service could not read any of it
}

func (m *message) bytes(n protowire.Number, b []byte) {
	*m = protowire.AppendTag(*m, n, protowire.BytesType)
	*m = protowire.AppendBytes(*m, b)
}

func (m *message) number(n protowire.Number, v uint64) {
	if v != 0 {
		*m = protowire.AppendTag(*m, n, protowire.VarintType)
		*m = protowire.AppendVarint(*m, v)
	}
}

// pair appends an entry of a map of strings.
func (m *message) pair(n protowire.Number, key, value string) {
	var entry message
	entry.text(1, key)
	entry.text(2, value)
	m.bytes(n, entry)
}

// checkRequest is the CheckRequest for x, with the prefix of gRPC.
func (s *Service) checkRequest(x *exchange.Exchange, content []byte, now time.Time) []byte {
	var request, stamp, attributes, whole message
	stamp.number(1, uint64(now.Unix()))
	stamp.number(2, uint64(now.Nanosecond()))
	request.bytes(1, stamp)
	request.bytes(2, s.httpRequest(x, content))
	peer := x.Conn.Peer
	if x.Request.ClientIP.IsValid() && x.Request.ClientIP != peer.Addr() {
		peer = netip.AddrPortFrom(x.Request.ClientIP, 0)
	}
	attributes.bytes(1, peerMessage(peer))
	attributes.bytes(2, peerMessage(netip.AddrPortFrom(x.Conn.LocalAddr(), x.Conn.Local.Port())))
	attributes.bytes(4, request)
	for _, c := range s.t.Context {
		attributes.pair(10, c.Name, c.Value)
	}
	if x.Conn.SNI != "" {
		var session message
		session.text(1, x.Conn.SNI)
		attributes.bytes(12, session)
	}
	whole = make(message, prefixSize, prefixSize+len(attributes)+8)
	whole.bytes(1, attributes)
	binary.BigEndian.PutUint32(whole[1:prefixSize], uint32(len(whole)-prefixSize))
	return whole
}

// peerMessage is an AttributeContext.Peer at an address.
func peerMessage(at netip.AddrPort) message {
	var socket, address, peer message
	if at.Addr().IsValid() {
		socket.text(2, at.Addr().Unmap().String())
	}
	socket = protowire.AppendVarint(protowire.AppendTag(socket, 3, protowire.VarintType), uint64(at.Port()))
	address.bytes(1, socket)
	peer.bytes(1, address)
	return peer
}

// httpRequest is an AttributeContext.HttpRequest.
func (s *Service) httpRequest(x *exchange.Exchange, content []byte) message {
	q := &x.Request
	var m message
	path := q.Target()
	m.text(2, q.Method)
	if s.all {
		for _, p := range [...][2]string{{":method", q.Method}, {":path", path}, {":authority", q.Authority}, {":scheme", q.Scheme}} {
			m.pair(3, p[0], p[1])
		}
	}
	for i := range q.Header {
		name := strings.ToLower(q.Header[i].Name)
		if name != "" && s.sees(name) && !introduces(name) && first(q.Header, i) {
			m.pair(3, name, values(q.Header[i:], name))
		}
	}
	for i, name := range introduced {
		if s.sees(name) {
			m.pair(3, name, s.owner.introduction(x, i))
		}
	}
	m.text(4, path)
	m.text(5, q.Authority)
	m.text(6, q.Scheme)
	m.number(9, uint64(q.ContentLength)) // -1 where it is not known
	protocol := x.Conn.Protocol
	if protocol == "HTTP/2.0" {
		protocol = "HTTP/2"
	}
	m.text(10, protocol)
	switch {
	case len(content) == 0:
	case utf8.Valid(content):
		m.text(11, mem.String(content))
	default:
		m.bytes(12, content)
	}
	return m
}

// sees reports whether the service may see a field, whose name is lower case.
func (s *Service) sees(name string) bool { return s.all || s.headers[name] }

// first reports whether no earlier line of h has the name of line i.
func first(h exchange.Header, i int) bool {
	for j := range i {
		if len(h[j].Name) == len(h[i].Name) && mem.EqualFold(h[j].Name, h[i].Name) {
			return false
		}
	}
	return true
}

// values joins the lines of a field (RFC 9110, section 5.3; RFC 9113, section
// 8.2.3 for Cookie).
func values(h exchange.Header, name string) string {
	between := ","
	if name == "cookie" {
		between = "; "
	}
	return strings.Join(lines(h, name), between)
}

// lines returns the values of a field's lines.
func lines(h exchange.Header, name string) (all []string) {
	for i := range h {
		if len(h[i].Name) == len(name) && mem.EqualFold(h[i].Name, name) {
			all = append(all, h[i].Value)
		}
	}
	return all
}

// checked reads a gRPC service's answer.
func checked(a *remote.Answer) (auth.Result, error) {
	status := a.Trailer.Get("Grpc-Status")
	if status == "" {
		status = a.Header.Get("Grpc-Status")
	}
	switch {
	case a.Status != 200 || status != "0":
		return auth.Result{}, fmt.Errorf("extauth: it answered %d, grpc-status %q", a.Status, status)
	case len(a.Content) < prefixSize || a.Content[0] != 0 || int(binary.BigEndian.Uint32(a.Content[1:])) != len(a.Content)-prefixSize:
		return auth.Result{}, fmt.Errorf("%w: it is not one message", errInvalid)
	}
	return checkResponse(a.Content[prefixSize:])
}

// field is one field of a message. A field of another type than it should have
// counts as unknown, so each type has its own number; the other is 0.
type field struct {
	n      protowire.Number // of what has a length
	bytes  []byte
	v      protowire.Number // of a varint
	number uint64
}

// each calls f with the fields of a message that we could know.
func each(b []byte, f func(field) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", errInvalid, protowire.ParseError(size))
		}
		b = b[size:]
		var v field
		switch kind {
		case protowire.VarintType:
			v.v = n
			v.number, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.n = n
			v.bytes, size = protowire.ConsumeBytes(b)
			v.bytes = append([]byte{}, v.bytes...) // never nil, and never the whole answer's memory
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errInvalid, protowire.ParseError(size))
		}
		b = b[size:]
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

// checkResponse reads a CheckResponse. It allows with a status of OK; one that
// says nothing, or two things at once, is no answer.
func checkResponse(b []byte) (auth.Result, error) {
	var code uint64
	var status, denied, ok []byte
	err := each(b, func(f field) error {
		if f.n == 1 && status != nil || f.n == 2 && denied != nil || f.n == 3 && ok != nil {
			return fmt.Errorf("%w: it says one thing twice", errInvalid)
		}
		switch f.n {
		case 1:
			status = f.bytes
			return each(f.bytes, func(f field) error {
				if f.v == 1 {
					code = uint64(uint32(f.number)) // it is an int32
				}
				return nil
			})
		case 2:
			denied = f.bytes
		case 3:
			ok = f.bytes
		case 5: // ErrorResponse
			return fmt.Errorf("extauth: it answered with an error of its own")
		}
		return nil
	})
	switch {
	case err != nil:
		return auth.Result{}, err
	case code != 0 && ok != nil, code == 0 && denied != nil, status == nil && ok == nil:
		return auth.Result{}, fmt.Errorf("%w: it does not say whether the request may pass", errInvalid)
	case code != 0:
		return deniedResponse(denied)
	}
	return okResponse(ok)
}

// okResponse reads an OkHttpResponse.
func okResponse(b []byte) (auth.Result, error) {
	a, answer := &auth.Answer{}, &auth.Answer{}
	err := each(b, func(f field) error {
		switch f.n {
		case 2:
			return option(a, f.bytes, auth.Set)
		case 5:
			return edit(a, string(f.bytes), "", auth.Remove)
		case 6: // response_headers_to_add
			return option(answer, f.bytes, auth.Add)
		case 7: // query_parameters_to_set
			return parameter(a, f.bytes)
		case 8: // query_parameters_to_remove
			return editQuery(a, string(f.bytes), "")
		}
		return nil
	})
	if len(answer.Edits) > 0 {
		a.Granted = &auth.Fields{Edits: answer.Edits, Names: answer.Names}
	}
	switch {
	case err != nil:
		return auth.Result{}, err
	case len(a.Edits)+len(a.Query) == 0 && a.Granted == nil:
		return auth.Result{Outcome: auth.Accepted}, nil
	}
	return auth.Result{Outcome: auth.Accepted, Answer: a}, nil
}

// parameter reads a QueryParameter.
func parameter(a *auth.Answer, b []byte) error {
	var name, value string
	err := each(b, func(f field) error {
		switch f.n {
		case 1:
			name = string(f.bytes)
		case 2:
			value = string(f.bytes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return editQuery(a, name, url.QueryEscape(name)+"="+url.QueryEscape(value))
}

func editQuery(a *auth.Answer, name, escaped string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: a query parameter has no name", errInvalid)
	case len(name)+len(escaped) > maxValue || len(a.Query) == maxEdits:
		return fmt.Errorf("%w: it changes more than %d query parameters, or one by too much", errInvalid, maxEdits)
	}
	a.Query = append(a.Query, auth.QueryEdit{Name: name, Escaped: escaped})
	return nil
}

// option reads a HeaderValueOption. how is what it means without append, or an
// action: of a request the value goes in place of the caller's, of an answer
// beside what is there; so the protocol has it.
func option(a *auth.Answer, b []byte, how auth.How) error {
	var name, value string
	err := each(b, func(f field) (err error) {
		switch f.n {
		case 1:
			name, value, err = headerValue(f.bytes)
			return err
		case 2:
			how = auth.Set // a BoolValue that is there and empty is false
			return each(f.bytes, func(f field) error {
				if f.v == 1 && f.number != 0 {
					how = auth.Add
				}
				return nil
			})
		}
		if f.v == 3 {
			how, err = action(f.number, how)
		}
		return err
	})
	if err != nil {
		return err
	}
	return edit(a, name, value, how)
}

// action reads an append_action; without one things stay as they are.
func action(number uint64, how auth.How) (auth.How, error) {
	switch number {
	case 0:
		return how, nil
	case 1:
		return auth.AddAbsent, nil
	case 2:
		return auth.Set, nil
	case 3:
		return auth.SetPresent, nil
	}
	return how, fmt.Errorf("%w: append_action %d is not known", errInvalid, number)
}

// headerValue reads a HeaderValue.
func headerValue(b []byte) (name, value string, err error) {
	err = each(b, func(f field) error {
		switch f.n {
		case 1:
			name = string(f.bytes)
		case 2, 3:
			value = string(f.bytes)
		}
		return nil
	})
	return name, value, err
}

// deniedResponse reads a DeniedHttpResponse, of which there may be none.
func deniedResponse(b []byte) (auth.Result, error) {
	out, fields := &auth.Answer{Status: 403, Type: "text/plain; charset=utf-8"}, &auth.Answer{}
	err := each(b, func(f field) error {
		switch f.n {
		case 1:
			return each(f.bytes, func(f field) error {
				if f.v == 1 && f.number < 600 {
					out.Status = refusal(int(f.number))
				}
				return nil
			})
		case 2:
			return refusing(fields, f.bytes)
		case 3:
			out.Content = f.bytes
		}
		return nil
	})
	if err != nil {
		return auth.Result{}, err
	}
	for i, name := range fields.Names {
		if name == "content-type" {
			out.Type = fields.Edits[i].Value
		} else {
			out.Header.Add(name, fields.Edits[i].Value)
		}
	}
	if len(out.Content) == 0 && !redirects(out.Status) {
		out.Content = nil
	} else if out.Content == nil {
		out.Content = []byte{}
	}
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeExternal, Answer: out}, nil
}

// refusing reads a field of a refusing answer. Those that frame the answer are
// passed over: the gateway frames its own.
func refusing(a *auth.Answer, b []byte) error {
	one := &auth.Answer{}
	err := option(one, b, auth.Set)
	if err != nil {
		name := ""
		_ = each(b, func(f field) (err error) {
			if f.n == 1 {
				name, _, err = headerValue(f.bytes)
			}
			return err
		})
		if hop(strings.ToLower(name)) {
			return nil
		}
		return err
	}
	return edit(a, one.Names[0], one.Edits[0].Value, auth.Add)
}
