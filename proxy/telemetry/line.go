package telemetry

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// The most bytes a value takes in a line, after escaping. Their sum and the
// names stay below mem.Small, so a line never outgrows its buffer.
const (
	maxPath = 640
	maxText = 192
)

// appendLine writes x as one JSON object and a newline. Names follow the
// OpenTelemetry attributes where there is one, in short form. The query and
// all header fields but User-Agent stay out: they carry credentials.
func appendLine(dst []byte, x *exchange.Exchange, duration time.Duration) []byte {
	q, a, t := &x.Request, &x.Response, &x.Trace
	l := line{append(dst, `{"time":"`...)}
	l.buf = x.Start.UTC().AppendFormat(l.buf, "2006-01-02T15:04:05.000Z07:00")
	l.buf = append(l.buf, '"')
	l.addr("client", q.ClientIP)
	l.text("method", q.Method)
	l.text("host", q.Host)
	l.bounded("path", q.Path, maxPath)
	l.number("status", int64(a.Status))
	l.text("code", a.Code)
	l.text("listener", t.Listener)
	if x.Conn != nil {
		l.text("protocol", x.Conn.Protocol)
	}
	l.text("route", t.Route)
	l.text("rule", t.Rule)
	l.text("backend", t.Backend)
	l.addrPort("endpoint", t.Endpoint)
	l.name("duration_ms")
	l.buf = strconv.AppendFloat(l.buf, float64(duration.Microseconds())/1000, 'f', 3, 64)
	l.number("bytes_in", t.BytesIn)
	l.number("bytes_out", t.BytesOut)
	if t.Retries > 0 {
		l.number("retries", int64(t.Retries))
	}
	l.text("auth_method", x.Principal.Method)
	l.text("auth_subject", x.Principal.Subject)
	l.text("denied", t.Denied)
	l.text("shadow", t.Shadow)
	l.text("policy", t.Policy)
	for i := range t.Steps {
		if s := &t.Steps[i]; s.Cause != "" {
			l.text("cause", s.Cause)
			break
		}
	}
	if t.ID != 0 {
		l.name("decision")
		l.buf = append(l.buf, '"')
		l.buf = exchange.AppendID(l.buf, t.ID)
		l.buf = append(l.buf, '"')
	}
	if agent, ok := q.Header.Get("user-agent"); ok {
		l.text("user_agent", agent)
	}
	return append(l.buf, '}', '\n')
}

type line struct{ buf []byte }

func (l *line) name(name string) {
	l.buf = append(l.buf, ',', '"')
	l.buf = append(l.buf, name...)
	l.buf = append(l.buf, '"', ':')
}

func (l *line) number(name string, n int64) {
	l.name(name)
	l.buf = strconv.AppendInt(l.buf, n, 10)
}

func (l *line) addr(name string, a netip.Addr) {
	if a.IsValid() {
		l.name(name)
		l.buf = append(l.buf, '"')
		l.buf = a.WithZone("").AppendTo(l.buf)
		l.buf = append(l.buf, '"')
	}
}

func (l *line) addrPort(name string, a netip.AddrPort) {
	if a.IsValid() {
		l.name(name)
		l.buf = append(l.buf, '"')
		l.buf = netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()).AppendTo(l.buf)
		l.buf = append(l.buf, '"')
	}
}

// text writes a value unless it is empty.
func (l *line) text(name, s string) {
	if s != "" {
		l.bounded(name, s, maxText)
	}
}

// bounded writes s escaped, cut short after limit bytes. Control characters,
// DEL and the C1 set are escaped, so that a line is one line in any viewer;
// what is not UTF-8 becomes U+FFFD.
func (l *line) bounded(name, s string, limit int) {
	const hex = "0123456789abcdef"
	l.name(name)
	l.buf = append(l.buf, '"')
	end := len(l.buf) + limit
	for i := 0; i < len(s) && len(l.buf)+6 <= end; {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			l.buf = append(l.buf, '\\', c)
			i++
		case c < ' ' || c == 0x7f:
			l.buf = append(l.buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			l.buf = append(l.buf, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError || r == 0x2028 || r == 0x2029:
				l.buf = append(l.buf, `\ufffd`...)
			case r < 0xa0:
				l.buf = append(l.buf, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
			default:
				l.buf = utf8.AppendRune(l.buf, r)
			}
			i += size
		}
	}
	l.buf = append(l.buf, '"')
}
