package http2

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// TestFrames sends frames that RFC 9113 gives a meaning to, or forbids, and looks
// at what comes back first.
func TestFrames(t *testing.T) {
	_, url, _ := serve(t, echo)
	for name, c := range map[string]struct {
		send func(r *raw)
		want string
	}{
		"a request":                 {func(r *raw) { r.ask(1, true, common("GET")...) }, "200 on 1 end"},
		"content":                   {func(r *raw) { r.ask(1, false, common("POST")...); r.send(frame.Data, 1, 1, []byte("hello")...) }, "200 on 1"},
		"padding":                   {func(r *raw) { r.ask(1, false, common("POST")...); r.send(frame.Data, 9, 1, 2, 'a', 0, 0) }, "200 on 1"},
		"padding beyond":            {func(r *raw) { r.ask(1, false, common("POST")...); r.send(frame.Data, 9, 1, 4, 'a', 0, 0) }, "goaway PROTOCOL_ERROR 1"},
		"ping":                      {func(r *raw) { r.send(frame.Ping, 0, 0, []byte("12345678")...) }, "ping 12345678"},
		"ping on a stream":          {func(r *raw) { r.send(frame.Ping, 0, 1, []byte("12345678")...) }, "goaway PROTOCOL_ERROR 0"},
		"short ping":                {func(r *raw) { r.send(frame.Ping, 0, 0, 1) }, "goaway FRAME_SIZE_ERROR 0"},
		"priorities, or not":        {func(r *raw) { r.send(frame.Settings, 0, 0, 0, 9, 0, 0, 0, 2) }, "goaway PROTOCOL_ERROR 0"},
		"unknown type":              {func(r *raw) { r.send(0xfa, 0xff, 1, 1); r.ask(1, true, common("GET")...) }, "200 on 1 end"},
		"frame too large":           {func(r *raw) { r.send(frame.Data, 0, 1, make([]byte, 16385)...) }, "goaway FRAME_SIZE_ERROR 0"},
		"data on no stream":         {func(r *raw) { r.send(frame.Data, 0, 0, 1) }, "goaway PROTOCOL_ERROR 0"},
		"data on an idle stream":    {func(r *raw) { r.send(frame.Data, 0, 1, 1) }, "goaway PROTOCOL_ERROR 0"},
		"headers on an even stream": {func(r *raw) { r.ask(2, true, common("GET")...) }, "goaway PROTOCOL_ERROR 0"},
		"headers on a passed stream": {func(r *raw) {
			r.ask(5, true, common("GET")...)
			r.until("200 on 5")
			r.ask(3, true, common("GET")...)
		}, "goaway PROTOCOL_ERROR 5"},
		"headers on an ended stream": {func(r *raw) {
			r.ask(1, true, common("GET")...)
			r.until("200 on 1")
			r.ask(1, true, common("GET")...)
		}, "goaway STREAM_CLOSED 1"},
		"data on an ended stream": {func(r *raw) { r.ask(1, true, common("GET")...); r.until("200 on 1"); r.send(frame.Data, 1, 1, 1) }, "goaway STREAM_CLOSED 1"},
		"data on a stream taken back": {func(r *raw) {
			r.ask(1, false, common("POST", "x-unread", "1")...)
			r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8)
			r.send(frame.Data, 1, 1, 1)
		}, "reset STREAM_CLOSED on 1"},
		"data on a stream taken back long ago": {func(r *raw) {
			r.ask(1, false, common("POST")...)
			r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8)
			r.ask(3, true, common("GET")...)
			r.until("200 on 3")
			r.send(frame.Data, 1, 1, 1)
		}, "reset STREAM_CLOSED on 1"},
		"trailer on a stream taken back": {func(r *raw) {
			r.ask(1, false, common("POST", "x-unread", "1")...)
			r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8)
			r.ask(1, true, "x-a", "b")
		}, "reset STREAM_CLOSED on 1"},
		"reset of an idle stream":  {func(r *raw) { r.send(frame.ResetStream, 0, 1, 0, 0, 0, 8) }, "goaway PROTOCOL_ERROR 0"},
		"short reset":              {func(r *raw) { r.ask(1, false, common("POST")...); r.send(frame.ResetStream, 0, 1, 8) }, "goaway FRAME_SIZE_ERROR 1"},
		"window of an idle stream": {func(r *raw) { r.send(frame.WindowUpdate, 0, 1, 0, 0, 0, 8) }, "goaway PROTOCOL_ERROR 0"},
		"window update of nothing": {func(r *raw) { r.send(frame.WindowUpdate, 0, 0, 0, 0, 0, 0) }, "goaway PROTOCOL_ERROR 0"},
		"window overflow":          {func(r *raw) { r.send(frame.WindowUpdate, 0, 0, uint32s(frame.MaxWindow)...) }, "goaway FLOW_CONTROL_ERROR 0"},
		"stream window overflow": {func(r *raw) {
			r.ask(1, false, common("POST")...)
			r.send(frame.WindowUpdate, 0, 1, uint32s(frame.MaxWindow)...)
		}, "reset FLOW_CONTROL_ERROR on 1"},
		"window beyond in settings":   {func(r *raw) { r.send(frame.Settings, 0, 0, 0, 4, 0x80, 0, 0, 0) }, "goaway FLOW_CONTROL_ERROR 0"},
		"push enabled twice over":     {func(r *raw) { r.send(frame.Settings, 0, 0, 0, 2, 0, 0, 0, 2) }, "goaway PROTOCOL_ERROR 0"},
		"frames too small":            {func(r *raw) { r.send(frame.Settings, 0, 0, 0, 5, 0, 0, 0, 2) }, "goaway PROTOCOL_ERROR 0"},
		"half a setting":              {func(r *raw) { r.send(frame.Settings, 0, 0, 0, 5, 0) }, "goaway FRAME_SIZE_ERROR 0"},
		"acknowledgement with more":   {func(r *raw) { r.send(frame.Settings, 1, 0, 0, 5, 0, 0, 0, 2) }, "goaway FRAME_SIZE_ERROR 0"},
		"settings on a stream":        {func(r *raw) { r.send(frame.Settings, 0, 1) }, "goaway PROTOCOL_ERROR 0"},
		"a hundred settings":          {func(r *raw) { r.send(frame.Settings, 0, 0, make([]byte, 600)...) }, "goaway ENHANCE_YOUR_CALM 0"},
		"push promise":                {func(r *raw) { r.send(frame.PushPromise, 4, 1, 0, 0, 0, 2) }, "goaway PROTOCOL_ERROR 0"},
		"priority":                    {func(r *raw) { r.send(frame.Priority, 0, 1, 0, 0, 0, 0, 9); r.ask(1, true, common("GET")...) }, "200 on 1 end"},
		"priority on itself":          {func(r *raw) { r.send(frame.Priority, 0, 1, 0, 0, 0, 1, 9) }, "goaway PROTOCOL_ERROR 0"},
		"short priority":              {func(r *raw) { r.send(frame.Priority, 0, 1, 0) }, "goaway FRAME_SIZE_ERROR 0"},
		"headers that depend on self": {func(r *raw) { r.send(frame.Headers, 0x25, 1, 0, 0, 0, 1, 9, 0x82) }, "goaway PROTOCOL_ERROR 0"},
		"goaway":                      {func(r *raw) { r.send(frame.GoAway, 0, 0, make([]byte, 8)...); r.ask(1, true, common("GET")...) }, "200 on 1 end"},
		"goaway on a stream":          {func(r *raw) { r.send(frame.GoAway, 0, 1, make([]byte, 8)...) }, "goaway PROTOCOL_ERROR 0"},
		"continuation of nothing":     {func(r *raw) { r.send(frame.Continuation, 4, 1, 0x82) }, "goaway PROTOCOL_ERROR 0"},
		"interrupted block":           {func(r *raw) { r.send(frame.Headers, 1, 1, 0x82); r.send(frame.Ping, 0, 0, []byte("12345678")...) }, "goaway PROTOCOL_ERROR 1"},
		"continued block": {func(r *raw) {
			b := r.fields(common("GET")...)
			r.send(frame.Headers, 1, 1, b[:3]...)
			for i := 3; i < len(b); i++ {
				r.send(frame.Continuation, 0, 1, b[i])
			}
			r.send(frame.Continuation, 4, 1)
		}, "200 on 1 end"},
		"bad index":                 {func(r *raw) { r.send(frame.Headers, 5, 1, 0xff, 0xff, 0x7f) }, "goaway COMPRESSION_ERROR 1"},
		"table size at the end":     {func(r *raw) { r.send(frame.Headers, 5, 1, append(r.fields(common("GET")...), 0x20)...) }, "goaway COMPRESSION_ERROR 1"},
		"table larger than allowed": {func(r *raw) { r.send(frame.Headers, 5, 1, 0x3f, 0xe2, 0x1f) }, "goaway COMPRESSION_ERROR 1"},
		"half a block":              {func(r *raw) { r.send(frame.Headers, 5, 1, 0x40, 9, 'a') }, "goaway COMPRESSION_ERROR 1"},
		"content longer than declared": {func(r *raw) {
			r.ask(1, false, common("POST", "content-length", "1")...)
			r.send(frame.Data, 1, 1, []byte("ab")...)
		}, "reset PROTOCOL_ERROR on 1"},
		"content shorter": {func(r *raw) {
			r.ask(1, false, common("POST", "content-length", "9")...)
			r.send(frame.Data, 1, 1, []byte("ab")...)
		}, "reset PROTOCOL_ERROR on 1"},
		"content shorter, and trailers": {func(r *raw) {
			r.ask(1, false, common("POST", "content-length", "9")...)
			r.send(frame.Data, 0, 1, []byte("ab")...)
			r.ask(1, true, "x-a", "b")
		}, "reset PROTOCOL_ERROR on 1"},
		"content for none declared": {func(r *raw) {
			r.ask(1, false, common("GET", "content-length", "0")...)
			r.send(frame.Data, 1, 1, []byte("ab")...)
		}, ""},
		"trailer that ends nothing":  {func(r *raw) { r.ask(1, false, common("POST")...); r.ask(1, false, "x-a", "b") }, "reset PROTOCOL_ERROR on 1"},
		"pseudo-header in a trailer": {func(r *raw) { r.ask(1, false, common("POST")...); r.ask(1, true, ":path", "b") }, "reset PROTOCOL_ERROR on 1"},
		"trailer":                    {func(r *raw) { r.ask(1, false, common("POST")...); r.ask(1, true, "x-a", "b") }, "200 on 1"},
		"content beyond the window": {func(r *raw) {
			r.ask(1, false, common("POST", "x-unread", "1")...)
			for range (256<<10)/16384 + 1 {
				r.send(frame.Data, 0, 1, make([]byte, 16384)...)
			}
		}, "goaway FLOW_CONTROL_ERROR 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := dial(t, url)
			c.send(r)
			got := r.next()
			if c.want == "" && (strings.HasPrefix(got, "200 on 1") || got == "reset PROTOCOL_ERROR on 1") {
				return // whichever is quicker
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestNoPreface has connections that are not HTTP/2.
func TestNoPreface(t *testing.T) {
	_, url, _ := serve(t, echo)
	for _, sent := range []string{"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		r := dial(t, url)
		r2 := dialPlain(t, url)
		_, _ = io.WriteString(r2, sent)
		r.framer = http2.NewFramer(r2, r2)
		if got := r.until("goaway"); got != "goaway PROTOCOL_ERROR 0" {
			t.Errorf("%q: %s", sent, got)
		}
	}
}

// TestRequestForms has requests that are malformed, each with a reset behind its answer.
func TestRequestForms(t *testing.T) {
	_, url, _ := serve(t, echo)
	for name, fields := range map[string][]string{
		"no path":             {":method", "GET", ":scheme", "http", ":authority", "a"},
		"empty path":          {":method", "GET", ":scheme", "http", ":authority", "a", ":path", ""},
		"no scheme":           {":method", "GET", ":authority", "a", ":path", "/"},
		"no method":           {":scheme", "http", ":authority", "a", ":path", "/"},
		"two paths":           common("GET", ":path", "/b"),
		"unknown pseudo":      {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":protocol", "websocket"},
		"status":              {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", ":status", "200"},
		"pseudo behind field": {":method", "GET", "x", "y", ":scheme", "http", ":authority", "a", ":path", "/"},
		"ftp":                 {":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/"},
		"no authority":        {":method", "GET", ":scheme", "http", ":path", "/"},
		"empty authority":     {":method", "GET", ":scheme", "http", ":authority", "", ":path", "/"},
		"empty, with host":    {":method", "GET", ":scheme", "http", ":authority", "", ":path", "/", "host", "a"},
		"two hosts":           common("GET", "host", "a", "host", "a"),
		"host of another":     common("GET", "host", "b"),
		"host, another port":  common("GET", "host", "a:443"),
		"user information":    {":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/"},
		"connect with path":   common("CONNECT"),
		"space in front":      common("GET", "x", " y"),
		"space behind":        common("GET", "x", "y\t"),
		"NUL":                 common("GET", "x", "a\x00b"),
		"CR":                  common("GET", "x", "a\rb"),
		"space in a name":     common("GET", "a b", "y"),
		"colon in a name":     common("GET", "a:b", "y"),
		"no name":             common("GET", "", "y"),
		"length of nothing":   common("POST", "content-length", "5"),
		"signed length":       common("POST", "content-length", "+0"),
		"long length":         common("POST", "content-length", "1000000000000000000000"),
		"keep-alive":          common("GET", "keep-alive", "5"),
		"proxy-connection":    common("GET", "proxy-connection", "close"),
		"te trailers, more":   common("GET", "te", "trailers, deflate"),
		"backslash in a path": {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/\\"},
	} {
		r := dial(t, url)
		r.ask(1, true, fields...)
		if got := r.next(); got != "400 on 1" {
			t.Errorf("%s: %s", name, got)
		}
		if got := r.until("reset"); got != "reset PROTOCOL_ERROR on 1" {
			t.Errorf("%s: %s", name, got)
		}
		r.ask(3, true, common("GET")...) // the connection goes on
		r.until("200 on 3")
	}
	for i, fields := range [][]string{
		{":method", "GET", ":scheme", "https", ":path", "/", "host", "a", "te", "trailers", "content-length", "0"},
		{":method", "GET", ":scheme", "https", ":authority", "a:", ":path", "/?", "host", "A:443"},
		{":method", "GET", ":scheme", "http", ":authority", "a:80", ":path", "/", "host", "a"},
		{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/", "content-length", "00000000000000000000"},
	} {
		r := dial(t, url)
		r.ask(1, true, fields...)
		if got := r.next(); !strings.HasPrefix(got, "200 on 1") {
			t.Errorf("%d: %s", i, got)
		}
	}
}

// TestCookies has a client that sends its cookies one by one.
func TestCookies(t *testing.T) {
	got := make(chan string, 1)
	_, url, _ := serve(t, func(x *exchange.Exchange) {
		v, _ := x.Request.Header.Get("cookie")
		got <- strings.Clone(v)
		if x.Request.Header.Count("cookie") != 1 {
			t.Error("more than one Cookie field")
		}
		echo(x)
	})
	r := dial(t, url)
	r.ask(1, true, common("GET", "cookie", "a=1", "x", "y", "cookie", "b=2", "cookie", "c=3")...)
	if s := <-got; s != "a=1; b=2; c=3" {
		t.Errorf("cookies %q", s)
	}
}
