package feature

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// page is text that one side writes and a test reads.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// String is everything written so far.
func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// logs makes the gateway write its access log, every request, and its own log.
func logs(access, own *page) func(*proxy.Options) {
	return func(o *proxy.Options) {
		o.AccessLog = proxy.AccessLog{Writer: access, Share: 1}
		o.Log = funcr.New(func(prefix, args string) { _, _ = fmt.Fprintln(own, prefix, args) }, funcr.Options{Verbosity: 9})
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var access, own page
	w := Start(t, Base+key("good", "k-good", "")+Route("r", `{name: all, backendRefs: [{name: api, port: 80}]}`)+Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}}`), logs(&access, &own))
	n := 0
	// logged compares the line of a request with JSON members; what differs from
	// time to time must be there, and is not compared.
	logged := func(a Answer, varies []string, want string) {
		t.Helper()
		n++
		w.Until("a line is written", func() bool { return strings.Count(access.String(), "\n") >= n })
		line := strings.Split(access.String(), "\n")[n-1]
		got, wanted := map[string]any{}, map[string]any{
			"bytes_out": float64(len(a.Body)), "status": float64(a.Status), "client": "127.0.0.1", "bytes_in": 0.0,
			"listener": "shop/edge/http", "protocol": "HTTP/1.1", "route": "HTTPRoute shop/r", "rule": "all",
		}
		if err := json.Unmarshal([]byte("{"+want+"}"), &wanted); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, name := range append(varies, "time", "duration_ms", "user_agent") {
			if got[name] == nil {
				t.Errorf("%s is not in %s", name, line)
			}
			delete(got, name)
		}
		if !maps.Equal(got, wanted) {
			t.Errorf("logged %v\nwant   %v", got, wanted)
		}
	}
	logged(w.Do("GET http://a/x?secret=1", "x-api-key: k-good"), []string{"endpoint"},
		`"method":"GET", "host":"a", "path":"/x", "backend":"shop/api:80", "auth_method":"keys", "auth_subject":"good-owner"`)
	logged(w.Send("POST http://a:80/", "hello", "x-api-key: k-good"), []string{"endpoint"},
		`"method":"POST", "host":"a", "path":"/", "backend":"shop/api:80", "auth_method":"keys", "auth_subject":"good-owner", "bytes_in":5`)
	a := w.Do("GET http://a/")
	logged(a, nil, `"method":"GET", "host":"a", "path":"/", "code":"auth_missing", "denied":"auth_missing", "policy":"AuthPolicy shop/a", "decision":"`+a.Problem().ID+`"`)
}

// When a key was used last outlives the tables; a key nobody used is not told of.
func TestKeyUse(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("used", "k-used", "")+key("idle", "k-idle", "")+Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}}`))
	const used, idle = `gatehouse_api_key_last_used_timestamp_seconds{secret="shop/used"}`, `gatehouse_api_key_last_used_timestamp_seconds{secret="shop/idle"}`
	before := time.Now().Unix()
	if a := w.Do("GET http://a/", "x-api-key: k-used"); a.Status != 200 {
		t.Fatal(a)
	}
	at, err := strconv.ParseFloat(w.Metric(used), 64)
	if err != nil || int64(at) < before || int64(at) > time.Now().Unix() {
		t.Errorf("used at %v, %v", at, err)
	}
	w.Apply(key("late", "k-late", ""))
	w.Until("the new key is taken", func() bool { return w.Do("GET http://a/", "x-api-key: k-late").Status == 200 })
	if again, _ := strconv.ParseFloat(w.Metric(used), 64); again < at {
		t.Errorf("forgot when, with a new table: %v", again)
	}
	if got := w.Metric(idle); got != "0" {
		t.Errorf("a key nobody used was used at %s", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", `{name: all, backendRefs: [{name: api, port: 80}]}`, `{matches: [{path: {value: /gone}}], backendRefs: [{name: gone, port: 80}]}`))
	for range 3 {
		w.Do("GET http://a/")
	}
	w.Do("GET http://a/gone")
	w.Raw("GET / HTTP/1.1\r\n\r\n")
	is := func(name, want string) {
		t.Helper()
		if got := w.Metric(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	is(`gatehouse_requests_total{code_class="2xx",gateway="shop/edge",listener="http"}`, "3")
	is(`gatehouse_requests_total{code_class="5xx",gateway="shop/edge",listener="http"}`, "1")
	is(`gatehouse_route_requests_total{code_class="2xx",route="HTTPRoute shop/r",rule="all"}`, "3")
	is(`gatehouse_route_requests_total{code_class="5xx",route="HTTPRoute shop/r",rule="1"}`, "1")
	is(`gatehouse_request_duration_seconds_count{route="HTTPRoute shop/r",rule="all"}`, "3")
	is(`gatehouse_own_answers_total{code="backend_not_found"}`, "1")
	is(`gatehouse_bad_requests_total{code="host_missing"}`, "1")
	is(`gatehouse_backend_requests_total{backend="shop/api:80"}`, "3")
	is(`gatehouse_table_generation`, fmt.Sprint(w.Server.Applied().Generation))
	// The series of what is gone go, and clients cannot make any.
	names := func() (out []string) {
		for line := range strings.Lines(w.Admin("/metrics")) {
			if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "gatehouse_") {
				out = append(out, name)
			}
		}
		return out
	}
	w.Do("GET http://a/")
	before := names()
	for i := range 30 {
		w.Do(fmt.Sprintf("GET http://host-%d/path-%d?q=%d", i, i, i), fmt.Sprintf("x-%d: 1", i))
	}
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("clients made series: %d, then %d", len(before), len(after))
	}
	w.Delete(Route("r", toAPI))
	for _, name := range names() {
		if strings.Contains(name, "shop/r") {
			t.Errorf("%s is left of a route that is gone", name)
		}
	}
	if got := w.Admin("/readyz"); got != "ok\n" {
		t.Errorf("readyz: %q", got)
	}
}
