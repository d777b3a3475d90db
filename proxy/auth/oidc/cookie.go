package oidc

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Names are the names of a method's cookies. Over TLS they begin with __Host-,
// which browsers keep to this host and to secure connections (RFC 6265bis,
// section 4.1.3.2); over plain HTTP they cannot.
type Names struct {
	Session, PlainSession string
	Login, PlainLogin     string
}

const hostPrefix = "__Host-"

// NamesOf returns the names of t's cookies. Where the policy names none, clients
// of one name share a session.
func NamesOf(t *table.OIDC) Names {
	name := t.Session.Cookie
	if name == "" {
		sum := sha256.Sum256([]byte(t.Issuer + "\x00" + t.ClientID))
		name = "gatehouse-" + hex.EncodeToString(sum[:4])
	}
	return Names{hostPrefix + name, name, hostPrefix + name + "-login", name + "-login"}
}

// origin is the scheme and authority under which the caller knows us.
func (m *Method) origin(x *exchange.Exchange) (scheme, authority string) {
	scheme, authority = x.Request.Scheme, x.Request.Authority
	if !m.needs.Trusted(x.Conn.Peer.Addr()) {
		return scheme, authority
	}
	if v, ok := x.Request.Header.Get("x-forwarded-proto"); ok && (v == "https" || v == "http") {
		scheme = v
	}
	if v, ok := x.Request.Header.Get("x-forwarded-host"); ok && isAuthority(v) {
		authority = v
	}
	return scheme, authority
}

// isAuthority reports whether v has only what a host and port are made of.
func isAuthority(v string) bool {
	for i := range len(v) {
		c := mem.Lower[v[i]]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return v != ""
}

func (m *Method) secure(x *exchange.Exchange) bool {
	scheme, _ := m.origin(x)
	return scheme == "https"
}

// sessionCookie is the token of the session the caller claims.
func (m *Method) sessionCookie(x *exchange.Exchange) (string, auth.Outcome) {
	if m.secure(x) {
		return m.needs.Cookies.Session.Find(x)
	}
	return m.needs.Cookies.PlainSession.Find(x)
}

// browser is the value that tells this browser from others while it logs in; ""
// when it has none.
func (m *Method) browser(x *exchange.Exchange) string {
	place := m.needs.Cookies.PlainLogin
	if m.secure(x) {
		place = m.needs.Cookies.Login
	}
	v, found := place.Find(x)
	if found != auth.Accepted || len(v) != browserLen {
		return ""
	}
	return v
}

// setCookie adds a cookie to the answer; an age of 0 removes it.
func (m *Method) setCookie(x *exchange.Exchange, login bool, value string, age time.Duration) {
	name, secure := m.names.PlainSession, m.secure(x)
	switch {
	case login && secure:
		name = m.names.Login
	case login:
		name = m.names.PlainLogin
	case secure:
		name = m.names.Session
	}
	line := name + "=" + value + "; Path=/; Max-Age=" + strconv.FormatInt(int64(age/time.Second), 10) + "; HttpOnly; SameSite=Lax"
	if secure {
		line += "; Secure"
	}
	x.Response.Header.Add("Set-Cookie", line)
}
