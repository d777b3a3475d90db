// Package session keeps callers at the endpoint they met first (GEP-1619).
//
// proxy/router makes a Session for each that a table asks for; proxy/forward asks
// it where a request belongs and, when an endpoint has answered that is not the
// one its token names, for a new token. The state is all in the token, which the
// caller keeps: its Keys, which every replica has, encrypt and authenticate it, so
// that a caller learns of no address and makes up none. It calls
// proxy/exchange and the cipher.
package session

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxTokens is how many tokens of a request are looked at. A browser may send
// several cookies of one name, of different paths; the one of the longest path
// comes first (RFC 6265, section 5.4).
const maxTokens = 4

// Session is a table.Session ready to run.
type Session struct {
	keys     *Keys
	scope    []byte // what the tokens are good for
	cookie   string
	header   string // in lower case
	lifetime time.Duration
	before   string // of the answer's field value, ahead of the token
	after    string // and behind it
	secure   string // the same where the client came over TLS
	field    string // of the answer
}

// Place is where a session is.
type Place struct {
	Backend  uint64 // Key of its id
	Endpoint netip.AddrPort
}

// Key is the number of a backend in tokens.
func Key(backend string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(backend)) // a hash takes all
	return h.Sum64()
}

// New makes a session whose tokens are good for scope alone: a rule of a route
// ("Route Rules Must Not Share Sessions").
func New(t *table.Session, scope string, keys *Keys) (*Session, error) {
	if (t.Cookie == "") == (t.Header == "") {
		return nil, errors.New("a session is kept by a cookie or by a header, one of them")
	}
	s := &Session{keys: keys, scope: []byte(scope), lifetime: t.Lifetime}
	if t.Header != "" {
		s.header, s.field = strings.ToLower(t.Header), t.Header
		return s, nil
	}
	s.cookie, s.field, s.before = t.Cookie, "Set-Cookie", t.Cookie+"="
	if t.Path != "" {
		s.after = "; Path=" + t.Path
	}
	if t.Permanent {
		s.after += "; Max-Age=" + strconv.FormatInt(int64(max(t.Lifetime/time.Second, 1)), 10)
	}
	s.after += "; HttpOnly; SameSite=Strict"
	s.secure = s.after + "; Secure"
	return s, nil
}

// Find returns where the session is that the request belongs to, if to any. It
// allocates nothing but in x.Arena.
func (s *Session) Find(x *exchange.Exchange) (Place, bool) {
	if s.header != "" {
		token, ok := x.Request.Header.Get(s.header)
		if !ok {
			return Place{}, false
		}
		return s.open(x, token)
	}
	tried := 0
	for token := range x.Request.Header.Cookies(s.cookie) {
		if p, ok := s.open(x, token); ok {
			return p, true
		}
		if tried++; tried == maxTokens {
			break
		}
	}
	return Place{}, false
}

// Begin adds to the answer the token of a session that is at p from now on.
func (s *Session) Begin(x *exchange.Exchange, p Place) {
	after := s.after
	if x.Conn.TLS {
		after = s.secure
	}
	x.Response.Header.Add(s.field, x.Arena.Concat(s.before, s.seal(x, p), after))
}

// A token is base64url of a nonce and, encrypted: version, backend, address,
// port, and when it ends in Unix milliseconds, 0 for never.
const (
	version  = 1
	plain    = 1 + 8 + 16 + 2 + 8
	sealed   = nonceSize + plain + tagSize
	tokenLen = (sealed*8 + 5) / 6
)

func (s *Session) seal(x *exchange.Exchange, p Place) string {
	text := x.Arena.Alloc(plain)
	text[0] = version
	binary.BigEndian.PutUint64(text[1:], p.Backend)
	ip := p.Endpoint.Addr().As16()
	copy(text[9:], ip[:])
	binary.BigEndian.PutUint16(text[25:], p.Endpoint.Port())
	end := int64(0)
	if s.lifetime > 0 {
		end = x.Start.Add(s.lifetime).UnixMilli()
	}
	binary.BigEndian.PutUint64(text[27:], uint64(end))
	out := s.keys.seal(x.Arena.Alloc(sealed)[:0], text, s.scope)
	token := x.Arena.Alloc(tokenLen)
	base64.RawURLEncoding.Encode(token, out)
	return mem.String(token)
}

// open reads a token. What is no token of ours, of this scope and not yet over
// says nothing: the request begins another session.
func (s *Session) open(x *exchange.Exchange, token string) (p Place, ok bool) {
	if len(token) != tokenLen {
		return p, false
	}
	raw := x.Arena.Alloc(sealed)
	if _, err := base64.RawURLEncoding.Decode(raw, mem.Bytes(token)); err != nil {
		return p, false
	}
	text := s.keys.open(x.Arena.Alloc(plain)[:0], raw, s.scope)
	if len(text) != plain || text[0] != version {
		return p, false
	}
	if end := int64(binary.BigEndian.Uint64(text[27:])); end != 0 && end <= x.Start.UnixMilli() {
		return p, false
	}
	p.Backend = binary.BigEndian.Uint64(text[1:])
	ip := netip.AddrFrom16([16]byte(text[9:25])).Unmap()
	p.Endpoint = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(text[25:]))
	return p, true
}
