package wire

import (
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// maxOptions bounds the Connection options of a message: each costs a scan of
// its fields.
const maxOptions = 32

// options is what Connection said.
type options struct {
	close     bool
	keepAlive bool
	upgrade   bool
	named     bool // header has Connection lines that name fields
}

// connection takes a Connection field (RFC 9110, section 7.6.1). Lines that
// name fields wait in the header until all fields are known.
func (f *fields) connection(name, value string) *exchange.Error {
	if mem.EqualFold(value, "keep-alive") {
		f.options.keepAlive = true
		return nil
	}
	for rest, more := value, true; more; {
		var o string
		o, rest, more = element(rest)
		switch {
		case o == "":
		case !is(o, isToken):
			return errConnection
		case mem.EqualFold(o, "close"):
			f.options.close = true
		case mem.EqualFold(o, "keep-alive"):
			f.options.keepAlive = true
		case mem.EqualFold(o, "upgrade"):
			f.options.upgrade = true
		default:
			f.options.named = true
		}
	}
	if f.options.named {
		f.header.Add(name, value)
	}
	return nil
}

// dropNamed removes the fields that Connection names, and Connection itself.
//
// A Connection line cannot remove fields that are for every recipient (RFC 9110
// forbids naming them): else a client could take from us, or from the backend,
// the field that keeps it out.
func (f *fields) dropNamed() *exchange.Error {
	count := 0
	for i := range f.header {
		line := &f.header[i]
		if !mem.EqualFold(line.Name, "connection") {
			continue
		}
		line.Name = ""
		for rest, more := line.Value, true; more; {
			var o string
			o, rest, more = element(rest)
			if o == "" || endToEnd(o) {
				continue
			}
			if count++; count > maxOptions {
				return errConnection
			}
			for k := range f.header {
				if mem.EqualFold(f.header[k].Name, o) && k != i && !mem.EqualFold(o, "connection") {
					f.header[k].Name = ""
				}
			}
		}
	}
	return nil
}

// endToEnd reports whether name is a field that Connection must not name.
func endToEnd(name string) bool {
	for _, n := range never {
		if mem.EqualFold(name, n) {
			return true
		}
	}
	for _, p := range neverPrefix {
		if len(name) > len(p) && mem.EqualFold(name[:len(p)], p) {
			return true
		}
	}
	return false
}

var never = []string{
	"accept", "age", "allow", "authorization", "cache-control", "cookie", "date", "etag", "expect", "expires", "forwarded",
	"from", "host", "last-modified", "location", "max-forwards", "origin", "pragma", "range", "referer", "retry-after",
	"server", "set-cookie", "strict-transport-security", "trailer", "user-agent", "vary", "via", "www-authenticate", "x-real-ip",
}

var neverPrefix = []string{"accept-", "access-control-", "content-", "if-", "proxy-authenticat", "sec-", "x-forwarded-"}

// protocol returns the one protocol offered or accepted, or "". A list is not
// followed, nor is a switch to HTTP/2, which would take the connection's
// requests out of our sight. Ignoring Upgrade is always right (RFC 9110,
// section 7.8).
func (f *fields) protocol() string {
	p := f.upgrade
	if f.upgrades != 1 || !f.options.upgrade || p == "" || mem.EqualFold(p, "h2c") || mem.EqualFold(p, "h2") {
		return ""
	}
	slashes := 0
	for i := range len(p) {
		if p[i] == '/' {
			slashes++
		} else if class[p[i]]&isToken == 0 {
			return ""
		}
	}
	if slashes > 1 || p[0] == '/' || p[len(p)-1] == '/' || len(p) > 5 && mem.EqualFold(p[:5], "http/") {
		return ""
	}
	return p
}
