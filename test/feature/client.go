package feature

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Answer is what came back.
type Answer struct {
	Status  int
	Header  http.Header
	Body    string
	Proto   string // "HTTP/1.1"
	Trailer http.Header
}

// Seen is what an echoing backend saw; the zero value when the answer is not its.
func (a Answer) Seen() (s Seen) {
	_ = json.Unmarshal([]byte(a.Body), &s)
	return s
}

// Problem is an answer of the gateway's own.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	ID     string `json:"id"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

// Problem is the problem document; the zero value when the answer is none.
func (a Answer) Problem() (p Problem) {
	if a.Header.Get("Content-Type") == "application/problem+json" {
		_ = json.Unmarshal([]byte(a.Body), &p)
	}
	return p
}

// Code is the stable code of an answer of the gateway's own, or empty.
func (a Answer) Code() string { return a.Problem().Code }

// Client returns a client whose every request goes to the listener with that ID,
// "shop/edge/http" when it is empty, whatever host it names. It keeps connections
// and follows no redirect.
func (w *World) Client(listener string, change ...func(*http.Transport)) *http.Client {
	w.t.Helper()
	address := w.Addr(listener)
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	for _, c := range change {
		c(transport)
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// PriorKnowledge makes a client speak HTTP/2 without TLS.
func PriorKnowledge(t *http.Transport) {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
}

// TLS makes a client trust what a test signed, and speak HTTP/2 if the gateway does.
func TLS(config *tls.Config) func(*http.Transport) {
	return func(t *http.Transport) { t.TLSClientConfig, t.ForceAttemptHTTP2 = config.Clone(), true }
}

// Over sends a request as Send does, over a client's connections.
func (w *World) Over(c *http.Client, line, body string, fields ...string) Answer {
	w.t.Helper()
	a, err := Fetch(c, line, body, fields...)
	if err != nil {
		w.t.Fatalf("%s: %v", line, err)
	}
	return a
}

// Fetch is Over for any goroutine.
func Fetch(c *http.Client, line, body string, fields ...string) (Answer, error) {
	method, target, _ := strings.Cut(line, " ")
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, target, content)
	if err != nil {
		return Answer{}, err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		if strings.EqualFold(name, "host") {
			r.Host = strings.TrimSpace(value)
			continue
		}
		r.Header.Add(name, strings.TrimSpace(value))
	}
	response, err := c.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(text), response.Proto, response.Trailer}, err
}

// Do sends a request, "GET http://shop.example/path", with fields such as
// "X-Env: test", to the listener "http" on a connection of its own.
func (w *World) Do(line string, fields ...string) Answer {
	w.t.Helper()
	return w.Send(line, "", fields...)
}

// Send is Do with content.
func (w *World) Send(line, body string, fields ...string) Answer {
	w.t.Helper()
	return w.Over(w.Client("", func(t *http.Transport) { t.DisableKeepAlives = true }), line, body, fields...)
}

// Admin gets a page of the admin server, "/metrics".
func (w *World) Admin(path string) string {
	w.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return w.Over(c, "GET http://"+w.Server.AdminAddr().String()+path, "").Body
}

// Metric is a sample of /metrics, named with its labels in the alphabet's order;
// "0" when there is none.
func (w *World) Metric(name string) string {
	w.t.Helper()
	for line := range strings.Lines(w.Admin("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "0"
}

// Until waits for what happens by itself a little later.
func (w *World) Until(what string, holds func() bool) {
	w.t.Helper()
	for late := time.Now().Add(15 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(late) {
			w.t.Fatalf("not within 15 s: %s", what)
		}
	}
}
