package feature

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// trickle sends a byte from time to time, up to so many, and returns the answer.
func trickle(t *testing.T, c *http.Client, url, media string, bytes int) Answer {
	t.Helper()
	out, in := io.Pipe()
	go func() {
		for range bytes {
			if _, err := in.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = in.Close()
	}()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, out)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	response, err := c.Do(r)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return Answer{}
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	_ = out.Close()
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(text), Proto: response.Proto}
}

// forever is more bytes than anybody waits for.
const forever = 1 << 20

// Content that trickles is cut off over every protocol, but for streams of messages.
func TestSlowContent(t *testing.T) {
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("one", "one.example")+ca.Secret("two", "two.example")+
		strings.Replace(Gateway("edge", "{name: http, protocol: HTTP, port: 80}", "X"), "  - X\n", strings.Trim(h3Edge, "\n")+"\n", 1)+Route("r", toAPI), func(o *proxy.Options) {
		o.Clients.HTTP1.BodyTimeout, o.Clients.HTTP1.Pace.Least = 100*time.Millisecond, 1<<20
	})
	config := ca.Trusted()
	config.ServerName = "one.example"
	three, _ := w.HTTP3("shop/edge/one", config)
	for name, at := range map[string]struct {
		client *http.Client
		url    string
	}{
		"HTTP/1.1": {w.Client(""), "http://one.example/"},
		"HTTP/2":   {w.Client("", PriorKnowledge), "http://one.example/"},
		"HTTP/3":   {three, "https://one.example/"},
	} {
		if a := trickle(t, at.client, at.url, "text/plain", forever); a.Status != 408 || a.Code() != "content_timeout" {
			t.Errorf("%s: %d %s, want 408 content_timeout", name, a.Status, a.Code())
		}
		if name == "HTTP/1.1" {
			continue
		}
		if a := trickle(t, at.client, at.url, "application/connect+proto", 30); a.Status != 200 || a.Seen().Body != strings.Repeat("x", 30) {
			t.Errorf("%s: a stream of messages: %d %s", name, a.Status, a.Code())
		}
	}
}

// Who sends slowly makes room when there is little.
func TestSlowContentMakesRoom(t *testing.T) {
	for name, change := range map[string]func(*http.Transport){"HTTP/1.1": func(*http.Transport) {}, "HTTP/2": PriorKnowledge} {
		t.Run(name, func(t *testing.T) {
			const places = 4
			w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
				o.Clients.Requests, o.Backends.Admission.Limit = places, -1
				o.Clients.HTTP1.BodyTimeout, o.Clients.HTTP1.Pace.Least, o.Clients.HTTP1.Pace.Busy = 200*time.Millisecond, 1, 1<<20
			})
			hang, begun := make(chan struct{}), make(chan struct{}, places)
			w.Backend("shop/api").Answer(func(_ http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				if r.URL.Path == "/hang" {
					<-hang
				}
				_, _ = io.Copy(io.Discard, r.Body)
			})
			slow := make(chan Answer)
			slowly := w.Client("", change)
			go func() { slow <- trickle(t, slowly, "http://a/", "text/plain", forever) }()
			<-begun
			others := make(chan int)
			for range places - 1 {
				c := w.Client("")
				go func() {
					a, _ := Fetch(c, "GET http://a/hang", "")
					others <- a.Status
				}()
				<-begun
			}
			if a := <-slow; a.Status != 408 || a.Code() != "content_timeout" {
				t.Errorf("the slow one is told %d %s, want 408 content_timeout", a.Status, a.Code())
			}
			w.Until("there is room", func() bool { return w.Do("GET http://a/").Status == 200 })
			close(hang)
			for range places - 1 {
				if status := <-others; status != 200 {
					t.Errorf("another one got %d", status)
				}
			}
		})
	}
}
