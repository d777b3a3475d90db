package feature

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// failing makes a backend fail so many times, in a way, before it answers 200
// with the content it was sent.
func failing(w *World, times int, how http.HandlerFunc) *atomic.Int32 {
	var asked atomic.Int32
	w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
		if int(asked.Add(1)) <= times {
			how(rw, r)
			return
		}
		content, _ := io.ReadAll(r.Body)
		_, _ = rw.Write(content)
	})
	return &asked
}

func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code); _, _ = io.WriteString(rw, "no") }
}

func TestRetries(t *testing.T) {
	w := Start(t, Base+Route("r",
		`{matches: [{path: {value: /codes}}], retry: {codes: [500, 503], attempts: 3}, backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /waits}}], retry: {codes: [500], attempts: 2, backoff: 100ms}, backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /short}}], timeouts: {request: 150ms}, retry: {codes: [500], attempts: 5, backoff: 100ms}, backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /slow}}], timeouts: {backendRequest: 50ms}, retry: {attempts: 2}, backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /none}}], backendRefs: [{name: api, port: 80}]}`))
	client := w.Client("")
	is := func(line, body string, times int, how http.HandlerFunc, want, tries int) {
		t.Helper()
		asked := failing(w, times, how)
		a := w.Over(client, line, body)
		if a.Status != want || want == 200 && a.Body != body {
			t.Errorf("%s failing %d times: %d %s, want %d", line, times, a.Status, a.Body, want)
		}
		if n := int(asked.Load()); n != tries {
			t.Errorf("%s failing %d times: asked %d times, want %d", line, times, n, tries)
		}
	}
	is("GET http://a/codes", "", 2, status(500), 200, 3)
	is("GET http://a/codes", "", 3, status(503), 200, 4)
	is("GET http://a/codes", "", 9, status(500), 500, 4)
	is("GET http://a/codes", "", 2, status(502), 502, 1)
	is("GET http://a/none", "", 1, status(500), 500, 1)
	is("POST http://a/codes", "hello", 3, status(500), 200, 4)
	is("PUT http://a/codes", strings.Repeat("x", 20<<10), 1, status(500), 200, 2)
	is("PUT http://a/codes", strings.Repeat("x", 200<<10), 1, status(500), 500, 1) // not kept

	// A backend that breaks off is asked again where that is harmless.
	broken := func(rw http.ResponseWriter, _ *http.Request) {
		if c, _, err := rw.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close()
		}
	}
	is("GET http://a/codes", "", 2, broken, 200, 3)
	is("POST http://a/codes", "hello", 1, broken, 502, 1)

	start := time.Now()
	is("GET http://a/waits", "", 2, status(500), 200, 3)
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("100 ms and 200 ms took %s", d)
	}
	start = time.Now()
	is("GET http://a/short", "", 9, status(500), 500, 2)
	if d := time.Since(start); d > 400*time.Millisecond {
		t.Errorf("the request took %s of 150 ms", d)
	}
	slow := func(rw http.ResponseWriter, r *http.Request) { time.Sleep(150 * time.Millisecond) }
	is("GET http://a/slow", "", 2, slow, 200, 3)
	is("GET http://a/slow", "", 9, slow, 504, 3)
	is("POST http://a/slow", "hello", 1, slow, 504, 1)
	if n := w.Metric(`gatehouse_request_retries_total{route="HTTPRoute shop/r",rule="1"}`); n != "2" {
		t.Errorf("%s retries are counted", n)
	}
}

// A backend that cannot be reached is waited for.
func TestRetriesOfConnections(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+strings.Replace(Service("late"), "shop}", "shop, annotations: {test/endpoints: none}}", 1)+
		Route("r", `{retry: {attempts: 5, backoff: 100ms}, backendRefs: [{name: late, port: 80}]}`))
	at := closedPort(t)
	w.upsert(endpoints("late", nobodys, at, "ready: true"))
	w.Until("it is known", func() bool { return w.Do("GET http://a/").Code() == "backend_connect_failed" })
	defer serveLater(t, at, 250*time.Millisecond)()
	if a := w.Do("GET http://a/"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// nobodys is an address that no other test listens on or calls from, so that what
// is a free port of it stays one.
const nobodys = "127.0.0.9"

// closedPort is one of nobodys that nobody listens on.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", nobodys+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// serveLater makes a backend begin to listen after a while; what it returns ends it.
func serveLater(t *testing.T, port int, after time.Duration) func() {
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		time.Sleep(after)
		l, err := net.Listen("tcp", nobodys+":"+itoa(port))
		if err != nil {
			t.Error(err)
			return
		}
		_ = s.Serve(l)
	}()
	return func() { _ = s.Close(); <-ended }
}
