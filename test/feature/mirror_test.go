package feature

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Mirrors get what the route made of the request, and change nothing for it.
func TestMirrors(t *testing.T) {
	mirror := func(name, more string) string {
		return `{type: RequestMirror, requestMirror: {backendRef: {name: ` + name + `, port: 80}` + more + `}}`
	}
	w := Start(t, Base+Service("one")+Service("two")+Service("slow")+Route("r",
		`{matches: [{path: {value: /both}}], filters: [`+mirror("one", "")+`, {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}]}}, `+mirror("two", "")+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /share}}], filters: [`+mirror("one", ", percent: 20")+`, `+mirror("two", ", fraction: {numerator: 1, denominator: 2}")+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /never}}], filters: [`+mirror("one", ", percent: 0")+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /slow}}], filters: [`+mirror("slow", "")+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /gone}}], filters: [`+mirror("none", "")+`], backendRefs: [{name: api, port: 80}]}`,
		`{matches: [{path: {value: /ref}}], backendRefs: [{name: api, port: 80, filters: [`+mirror("two", "")+`]}]}`))
	seen := map[string]chan string{"one": make(chan string, 1000), "two": make(chan string, 1000)}
	for name, c := range seen {
		w.Backend("shop/" + name).Answer(func(rw http.ResponseWriter, r *http.Request) {
			body := make([]byte, 100)
			n, _ := r.Body.Read(body)
			c <- r.Method + " " + r.Host + r.RequestURI + " " + r.Header.Get("X-A") + " " + string(body[:n])
			rw.WriteHeader(500)
		})
	}
	gets := func(name, want string) {
		t.Helper()
		select {
		case got := <-seen[name]:
			if got != want {
				t.Errorf("%s got %q, want %q", name, got, want)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s did not get %q", name, want)
		}
	}
	is := func(a Answer, service string) {
		t.Helper()
		if a.Status != 200 || a.Seen().Service != service {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	is(w.Do("GET http://a.example/both?q=1"), "shop/api")
	gets("one", "GET a.example/both?q=1 b ")
	gets("two", "GET a.example/both?q=1 b ")
	is(w.Send("POST http://a.example/both", "hello"), "shop/api")
	gets("one", "POST a.example/both b hello")
	gets("two", "POST a.example/both b hello")
	is(w.Over(w.Client("", PriorKnowledge), "POST http://a.example/both", "hello"), "shop/api")
	gets("one", "POST a.example/both b hello")
	gets("two", "POST a.example/both b hello")
	is(w.Do("GET http://a.example/ref"), "shop/api")
	gets("two", "GET a.example/ref  ")
	is(w.Do("GET http://a.example/gone"), "shop/api")

	for range 5 {
		is(w.Do("GET http://a.example/never"), "shop/api")
	}
	c := w.Client("")
	const requests = 400
	for range requests {
		is(w.Over(c, "GET http://a.example/share", ""), "shop/api")
	}
	outcome := func(backend, outcome string) string {
		return w.Metric(`gatehouse_mirrored_requests_total{backend="shop/` + backend + `:80",outcome="` + outcome + `"}`)
	}
	w.Until("all are answered", func() bool {
		return outcome("one", "answered") == itoa(3+len(seen["one"])) && outcome("two", "answered") == itoa(4+len(seen["two"]))
	})
	// Five standard deviations.
	if n := len(seen["one"]); n < 40 || n > 120 {
		t.Errorf("20 %% of %d requests are %d", requests, n)
	}
	if n := len(seen["two"]); n < 150 || n > 250 {
		t.Errorf("half of %d requests are %d", requests, n)
	}

	// Content that is too large for a copy goes to the backend alone.
	is(w.Send("POST http://a.example/ref", strings.Repeat("x", 100<<10)), "shop/api")
	w.Until("it is counted", func() bool { return outcome("two", "too_large") == "1" })

	// A mirror that does not answer costs the request nothing, and when too many wait, none are added.
	done := make(chan struct{})
	w.Backend("shop/slow").Answer(func(http.ResponseWriter, *http.Request) { <-done })
	for range 300 {
		is(w.Over(c, "GET http://a.example/slow", ""), "shop/api")
	}
	if outcome("slow", "dropped") != "44" {
		t.Errorf("%s of 300 were dropped", outcome("slow", "dropped"))
	}
	close(done)
}

// Each copy has the request's trailer fields.
func TestMirroredTrailers(t *testing.T) {
	mirror := func(name string) string {
		return `{type: RequestMirror, requestMirror: {backendRef: {name: ` + name + `, port: 80}}}`
	}
	w := Start(t, Base+Service("one")+Service("two")+Route("r", `{filters: [`+mirror("one")+`, `+mirror("two")+`], backendRefs: [{name: api, port: 80}]}`))
	seen := make(chan string, 10)
	for _, name := range []string{"one", "two"} {
		w.Backend("shop/" + name).Answer(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			seen <- string(body) + " " + r.Trailer.Get("X-Check")
		})
	}
	for _, c := range []*http.Client{w.Client(""), w.Client("", PriorKnowledge)} {
		for _, content := range []string{"", "hello"} {
			r, err := http.NewRequest("POST", "http://a/", io.MultiReader(strings.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = http.Header{"X-Check": {"sent"}}
			response, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			for range 2 {
				select {
				case got := <-seen:
					if got != content+" sent" {
						t.Errorf("%s: a copy has %q", response.Proto, got)
					}
				case <-time.After(time.Minute):
					t.Fatal("a copy did not come")
				}
			}
		}
	}
}
