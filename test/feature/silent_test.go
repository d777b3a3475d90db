package feature

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Server-sent events that are silent go on as long as there is a client, and end
// soon after it has left.
func TestSilentAnswers(t *testing.T) {
	t.Parallel()
	const look = 20 * time.Millisecond
	ca := NewAuthority(t)
	w := Start(t, Base+Gateway("secure", `{name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+ca.Secret("cert", "a")+
		strings.Replace(Route("r", toAPI), "[{name: edge}]", "[{name: edge}, {name: secure}]", 1),
		func(o *proxy.Options) { o.Backends.Look = look })
	next, ended := make(chan string), make(chan struct{}, 1)
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(rw).Flush()
		for {
			select {
			case text := <-next:
				_, _ = io.WriteString(rw, text)
				_ = http.NewResponseController(rw).Flush()
			case <-r.Context().Done():
				ended <- struct{}{}
				return
			}
		}
	})
	http1 := func(t *http.Transport) { t.ForceAttemptHTTP2 = false }
	for name, c := range map[string]struct {
		url    string
		client *http.Client
	}{
		"HTTP/1.1":      {"http://a/", w.Client("")},
		"HTTP/1.1, TLS": {"https://a/", w.Client("shop/secure/https", TLS(ca.named("a")), http1)},
		"HTTP/2.0":      {"https://a/", w.Client("shop/secure/https", TLS(ca.named("a")))},
	} {
		r, err := c.client.Get(c.url)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.HasPrefix(name, r.Proto) {
			t.Fatalf("%s is spoken, not %s", r.Proto, name)
		}
		for _, text := range []string{"data: 1\n\n", "data: 2\n\n"} {
			time.Sleep(5 * look) // the silence: it is looked at some times
			select {
			case next <- text:
			case <-ended:
				t.Fatalf("%s: it was cut off though its client is there", name)
			}
			got := make([]byte, len(text))
			if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != text {
				t.Fatalf("%s: %q %v", name, got, err)
			}
		}
		_ = r.Body.Close()
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Fatalf("%s: the backend was not told within 15 s that the client has gone", name)
		}
	}
	w.Until("no request is left over", func() bool { return w.Metric(`gatehouse_limit_in_use{limit="requests"}`) == "0" })
}
