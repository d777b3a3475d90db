package feature

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Server-sent events that are silent, and backends that think about their answer, go
// on as long as there is a client, and end soon after it has left.
func TestSilentAnswers(t *testing.T) {
	t.Parallel()
	const look = 20 * time.Millisecond
	ca := NewAuthority(t)
	w := Start(t, Base+Gateway("secure", `{name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+ca.Secret("cert", "a")+
		strings.Replace(Route("r", toAPI), "[{name: edge}]", "[{name: edge}, {name: secure}]", 1),
		func(o *proxy.Options) { o.Backends.Look = look })
	next, begun, ended := make(chan string), make(chan struct{}), make(chan struct{}, 1)
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/late" {
			begun <- struct{}{}
			select {
			case text := <-next:
				_, _ = io.WriteString(rw, text)
			case <-r.Context().Done():
				ended <- struct{}{}
			}
			return
		}
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
	for name, c := range map[string]struct {
		url, content string
		client       *http.Client
	}{
		"HTTP/1.1":               {"http://a/late", "", w.Client("")},
		"HTTP/1.1, with content": {"http://a/late", strings.Repeat("a", 100_000), w.Client("")},
		"HTTP/2.0":               {"https://a/late", "", w.Client("shop/secure/https", TLS(ca.named("a")))},
	} {
		ask := func(ctx context.Context) (string, error) {
			q, err := http.NewRequestWithContext(ctx, "PUT", c.url, strings.NewReader(c.content))
			if err != nil {
				return "", err
			}
			r, err := c.client.Do(q)
			if err != nil {
				return "", err
			}
			text, err := io.ReadAll(r.Body)
			return string(text), err
		}
		go func() {
			<-begun
			time.Sleep(5 * look)
			next <- "late"
		}()
		if got, err := ask(t.Context()); got != "late" || err != nil {
			t.Errorf("%s: a late answer came as %q, %v", name, got, err)
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-begun
			leave()
		}()
		if _, err := ask(ctx); err == nil {
			t.Errorf("%s: an answer came from nowhere", name)
		}
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Fatalf("%s: the backend was not told within 15 s that nobody waits for its answer", name)
		}
	}
	w.Until("no request is left over", func() bool { return w.Metric(`gatehouse_limit_in_use{limit="requests"}`) == "0" })
}

// Requests of HTTP/2 that their client gives up end at the backend at once, for what
// may be open on its connection is for the others; and they are no failure of the backend.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+Gateway("secure", `{name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+ca.Secret("cert", "*.example")+
		strings.Replace(Service("h2c"), "port: 80", "port: 80, appProtocol: kubernetes.io/h2c", 1)+Service("h1")+
		strings.ReplaceAll(HostRoute("h2c", "h2c.example", `{backendRefs: [{name: h2c, port: 80}]}`)+HostRoute("h1", "h1.example", `{backendRefs: [{name: h1, port: 80}]}`),
			"[{name: edge}]", "[{name: secure}]"))
	for i, name := range []string{"h1", "h2c"} {
		begun, ended := make(chan struct{}), make(chan struct{}, 1)
		w.Backend("shop/" + name).Answer(func(_ http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		})
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-begun
			leave()
		}()
		q, err := http.NewRequestWithContext(ctx, "GET", "https://"+name+".example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := w.Client("shop/secure/https", TLS(ca.named(name+".example"))).Do(q); err == nil {
			t.Fatalf("the answer is %s", r.Status)
		}
		select {
		case <-ended:
		case <-time.After(2 * time.Second):
			t.Errorf("%s: the backend was not told within 2 s that the client has given up", name)
		}
		w.Until("it is counted", func() bool {
			return w.Metric(`gatehouse_own_answers_total{code="client_closed"}`) == strconv.Itoa(i+1)
		})
		if n := w.Metric(`gatehouse_own_answers_total{code="backend_bad_response"}`); n != "0" {
			t.Errorf("%s: %s failures of the backend are counted", name, n)
		}
	}
}
