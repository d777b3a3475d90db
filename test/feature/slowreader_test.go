package feature

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Who does not read what it asked for holds no more than buffers, of the gateway
// and of the kernel, holds up nobody, and is cut off in the end.
func TestSlowReaders(t *testing.T) {
	const readers, size = 50, 16 << 20
	w := Start(t, Base+twoServices+Route("r", toAPI, `{matches: [{path: {value: /other}}], backendRefs: [{name: other, port: 80}]}`), func(o *proxy.Options) {
		o.Clients.HTTP1.WriteTimeout = 500 * time.Millisecond
	})
	big := strings.Repeat("x", 64<<10)
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		for range size / len(big) {
			if _, err := io.WriteString(rw, big); err != nil {
				return
			}
		}
	})
	w.Backend("shop/other")
	small := func(t *http.Transport) {
		t.DialContext, t.DisableKeepAlives = narrow(w.Addr("")), true
		t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10}
	}
	for name, change := range map[string][]func(*http.Transport){"HTTP/1.1": {small}, "HTTP/2": {PriorKnowledge, small}} {
		before := heap()
		var bodies []io.ReadCloser
		for range readers {
			answer, err := w.Client("", change...).Get("http://a/")
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, answer.Body)
		}
		if a := w.Do("GET http://a/other"); a.Status != 200 {
			t.Errorf("%s: beside them %d", name, a.Status)
		}
		each := (int64(heap()) - int64(before)) / readers
		t.Logf("%s: each takes %d KiB, with the test's client and backend", name, each>>10)
		if each > 512<<10 {
			t.Errorf("%s: who does not read holds %d KiB of an answer of %d", name, each>>10, size>>10)
		}
		w.Until(name+": they are cut off", func() bool { return w.Metric(`gatehouse_limit_in_use{limit="requests"}`) == "0" })
		for _, b := range bodies {
			if n, err := io.Copy(io.Discard, b); err == nil || n == size {
				t.Errorf("%s: %d bytes came, and a good end", name, n)
			}
			_ = b.Close()
		}
	}
}

// narrow dials with a small receive buffer, so that little fits into the kernel's.
func narrow(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		return c, err
	}
}

// Content that comes too slowly over HTTP/2 is told so as it is over HTTP/1.1.
func TestSlowSendersOverHTTP2(t *testing.T) {
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) { o.Clients.HTTP1.BodyTimeout = 200 * time.Millisecond })
	r, wr := io.Pipe()
	go func() { _, _ = io.WriteString(wr, "abc") }()
	defer func() { _ = wr.Close() }()
	answer, err := w.Client("", PriorKnowledge).Post("http://a/", "text/plain", r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 408 || !strings.Contains(string(body), "content_timeout") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}
