package feature

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

func TestForwardingFields(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	yaml := Base + ca.Secret("cert", "a.example") + Gateway("edge", `{name: http, protocol: HTTP, port: 80}`,
		`{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`) +
		Route("r", toAPI) + Auth("auth", "HTTPRoute/r", "rules: {response: {headers: {x-client: {cel: source.address}}}}")
	told := func(w *World) func(c *http.Client, line, want string, fields ...string) {
		return func(c *http.Client, line, want string, fields ...string) {
			t.Helper()
			h := w.Over(c, line, "", fields...).Seen().Header
			got := strings.Join(h["X-Forwarded-For"], "|") + " " + strings.Join(h["X-Forwarded-Proto"], "|") + " " + strings.Join(h["X-Forwarded-Host"], "|") + " " + strings.Join(h["X-Client"], "|")
			if got != want {
				t.Errorf("%s %v: backend was told %q, want %q", line, fields, got, want)
			}
		}
	}
	claimed := []string{"x-forwarded-for: 192.0.2.1, 10.1.1.1", "x-forwarded-proto: https", "x-forwarded-host: other.example"}

	w := Start(t, yaml)
	is := told(w)
	is(w.Client(""), "GET http://a.example:81/", "127.0.0.1 http a.example:81 127.0.0.1")
	is(w.Client(""), "GET http://a.example/", "192.0.2.1, 10.1.1.1, 127.0.0.1 http a.example 127.0.0.1", claimed...)
	is(w.Client("shop/edge/tls", TLS(ca.Trusted())), "GET https://a.example/", "127.0.0.1 https a.example 127.0.0.1", "x-forwarded-proto: http")
	is(w.Client(""), "GET http://a.example/", "192.0.2.1, 192.0.2.2, 127.0.0.1 http a.example 127.0.0.1", "x-forwarded-for: 192.0.2.1", "x-forwarded-for: 192.0.2.2")
	// Backends that make variables of fields would find these in the same ones.
	spelt := []string{"x_forwarded_for: 192.0.2.1", "x-forwarded_proto: https", "X_Forwarded-Host: other.example"}
	is(w.Client(""), "GET http://a.example/", "127.0.0.1 http a.example 127.0.0.1", spelt...)
	is(w.Client(""), "GET http://a.example/", "192.0.2.9, 127.0.0.1 http a.example 127.0.0.1", append(spelt, "x-forwarded-for: 192.0.2.9")...)
	for _, fields := range [][]string{spelt, {"Transfer_Encoding: chunked"}, {"content_length: 5"}, {"X.Forwarded.For: 192.0.2.1", "x-forwarded.proto: https", "Transfer.Encoding: chunked"}, {"SCRIPT_NAME: /x"}, {"Path_Info: /admin"}} {
		for name := range w.Over(w.Client(""), "GET http://a.example/", "", fields...).Seen().Header {
			if strings.ContainsAny(name, "_.") {
				t.Errorf("the backend was sent %s", name)
			}
		}
	}

	w = Start(t, yaml, func(o *proxy.Options) { o.Clients.Trusted = []string{"127.0.0.0/8", "10.0.0.0/8"} })
	is = told(w)
	is(w.Client(""), "GET http://a.example/", "127.0.0.1 http a.example 127.0.0.1")
	is(w.Client(""), "GET http://a.example/", "192.0.2.1, 10.1.1.1, 127.0.0.1 https other.example 192.0.2.1", claimed...)
	is(w.Client(""), "GET http://a.example/", "203.0.113.9, 192.0.2.1, 10.1.1.1, 127.0.0.1 http a.example 192.0.2.1", "x-forwarded-for: 203.0.113.9, 192.0.2.1, 10.1.1.1")
	if h := w.Over(w.Client(""), "GET http://a.example/", "", "SCRIPT_NAME: /x").Seen().Header; len(h["Script_name"]) != 1 {
		t.Errorf("a trusted proxy's fields have become %v", h)
	}
	is(w.Client(""), "GET http://a.example/", "192.0.2.1, rubbish, 127.0.0.1 http a.example 127.0.0.1", "x-forwarded-for: 192.0.2.1, rubbish")
}

// What is for one connection stays on it (RFC 9110, section 7.6.1).
func TestHopByHop(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			rw.Header()["Saw-"+name] = values
		}
		rw.Header().Set("Connection", "X-Hop")
		rw.Header().Set("X-Hop", "1")
		rw.Header().Set("Keep-Alive", "timeout=5")
		rw.Header().Set("Proxy-Authenticate", "Basic")
		rw.Header().Set("X-End", "1")
	})
	a := w.Do("GET http://a/", "connection: x-mine, keep-alive", "x-mine: 1", "keep-alive: 5", "te: gzip", "proxy-connection: keep-alive",
		"upgrade: x", "x-end: 1", "proxy-authorization: Basic eA==")
	for _, name := range []string{"Saw-Connection", "Saw-X-Mine", "Saw-Keep-Alive", "Saw-Te", "Saw-Proxy-Connection", "Saw-Upgrade", "Saw-Transfer-Encoding", "X-Hop", "Keep-Alive"} {
		if v := a.Header.Values(name); len(v) > 0 {
			t.Errorf("%s: %q passed", name, v)
		}
	}
	for _, name := range []string{"Saw-X-End", "X-End"} {
		if a.Header.Get(name) != "1" {
			t.Errorf("%s did not pass", name)
		}
	}
	// Nobody takes away the fields that say who asks by listing them.
	a = w.Do("GET http://a/", "connection: x-forwarded-for, x-forwarded-proto, host, content-length")
	if a.Status == 200 && (a.Header.Get("Saw-X-Forwarded-For") != "127.0.0.1" || a.Header.Get("Saw-X-Forwarded-Proto") != "http") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

// How far a TRACE or an OPTIONS goes is its client's to say (RFC 9110, section 7.6.2).
func TestMaxForwards(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	is := func(line string, status int, passed string, fields ...string) {
		t.Helper()
		before := w.Backend("shop/api").Asked()
		a := w.Do(line, fields...)
		asked := w.Backend("shop/api").Asked() > before
		if a.Status != status || asked != (status == 200) || strings.Join(a.Seen().Header["Max-Forwards"], "|") != passed {
			t.Errorf("%s %v: %d, asked %v, passed %v", line, fields, a.Status, asked, a.Seen().Header["Max-Forwards"])
		}
	}
	is("OPTIONS http://a/", 200, "")
	is("OPTIONS http://a/", 200, "0", "max-forwards: 1")
	is("TRACE http://a/", 200, "9", "max-forwards: 10")
	is("OPTIONS http://a/", 204, "", "max-forwards: 0")
	is("TRACE http://a/", 501, "", "max-forwards: 0")
	is("TRACE http://a/", 501, "", "max-forwards: 000")
	is("GET http://a/", 200, "0", "max-forwards: 0")
	is("OPTIONS http://a/", 200, "-1", "max-forwards: -1")
	is("OPTIONS http://a/", 200, "99999999999", "max-forwards: 99999999999")
	is("OPTIONS http://a/", 200, "1|0", "max-forwards: 1", "max-forwards: 0")
}

// What asks about the server and no resource (RFC 9110, section 9.3.7) the gateway answers,
// whoever has the host; what may have no content (section 9.3.8) goes nowhere with some.
func TestOptionsAndTrace(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	is := func(status int, asked int64, text string) {
		t.Helper()
		before := w.Backend("shop/api").Asked()
		if got := w.Raw(text); len(got) != 1 || got[0] != status {
			t.Errorf("%q: answers %v, want %d", text, got, status)
		}
		if n := w.Backend("shop/api").Asked() - before; int64(n) != asked {
			t.Errorf("%q: the backend was asked %d times, want %d", text, n, asked)
		}
	}
	const end = "Host: a\r\nConnection: close\r\n"
	is(204, 0, "OPTIONS * HTTP/1.1\r\n"+end+"\r\n")
	is(204, 0, "OPTIONS http://a HTTP/1.1\r\n"+end+"\r\n")
	is(200, 1, "OPTIONS / HTTP/1.1\r\n"+end+"\r\n")
	is(200, 1, "OPTIONS / HTTP/1.1\r\n"+end+"Content-Length: 1\r\n\r\na")
	is(200, 1, "TRACE / HTTP/1.1\r\n"+end+"\r\n")
	is(400, 0, "TRACE / HTTP/1.1\r\n"+end+"Content-Length: 1\r\n\r\na")
	is(400, 0, "TRACE / HTTP/1.1\r\n"+end+"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
}
