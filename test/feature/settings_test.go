package feature

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// A tunnel in which nothing moves is closed after the time that is set for it.
func TestTunnelIdleTimeout(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) { o.Clients.Tunnel = 100 * time.Millisecond })
	w.Backend("shop/api").Answer(echoUpgraded)
	c, err := net.Dial("tcp", w.Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", answer, err)
	}
	if text, err := io.ReadAll(in); err != nil || !strings.HasPrefix(string(text), "ready\n") {
		t.Errorf("%q and then %v", text, err)
	}
}

// A client of gRPC that says nothing is told so after the time that is set for it,
// however short that of other content is.
func TestStreamTimeout(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
		o.Clients.Stream, o.Clients.HTTP1.BodyTimeout = 200*time.Millisecond, 100*time.Millisecond
	})
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	body, silent := io.Pipe()
	defer func() { _ = silent.Close() }()
	began := time.Now()
	answer, err := w.Client("", PriorKnowledge).Post("http://a/", "application/grpc", body)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("it was cut off after %v", took)
	}
	w.Until("it is counted", func() bool { return w.Metric(`gatehouse_own_answers_total{code="content_timeout"}`) == "1" })
}

// Mirrored requests cost what is set for them at most.
func TestMirrorSettings(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Service("copy")+Route("r", `{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}], backendRefs: [{name: api, port: 80}]}`), func(o *proxy.Options) {
		o.Mirrors.Requests, o.Mirrors.Content, o.Mirrors.Time = 1, 10, 100*time.Millisecond
	})
	over := make(chan struct{})
	defer close(over)
	w.Backend("shop/copy").Answer(func(http.ResponseWriter, *http.Request) { <-over })
	counted := func(outcome string) string {
		return w.Metric(`gatehouse_mirrored_requests_total{backend="shop/copy:80",outcome="` + outcome + `"}`)
	}
	sent := func(content string) {
		t.Helper()
		if a := w.Send("POST http://a/", content); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	sent("12345678901")
	w.Until("eleven bytes are too many", func() bool { return counted("too_large") == "1" })
	w.Until("the second of two at one time is dropped", func() bool {
		sent("1234567890")
		return counted("dropped") != "0"
	})
	w.Until("one takes too long", func() bool { return counted("failed") != "0" })
}
