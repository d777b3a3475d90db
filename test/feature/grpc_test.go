package feature

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// GRPC is a GRPCRoute "shop/<name>" on the Gateway, for hosts of a comma-separated
// list, with the rules given.
func GRPC(name, hosts string, rules ...string) string {
	return strings.Replace(HostRoute(name, hosts, rules...), "kind: HTTPRoute", "kind: GRPCRoute", 1)
}

// calls is a gRPC backend by the frames it sends: an echo of each piece of the
// request's content at once, behind a head that leaves before any, and trailers.
func calls(name string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(rw).Flush
		rw.Header().Set("Content-Type", "application/grpc")
		rw.Header().Set("X-Seen", name+" "+r.Proto+" "+r.Header.Get("Te")+" "+r.Header.Get("X-Added"))
		_ = flush()
		b := make([]byte, 4096)
		for {
			n, err := r.Body.Read(b)
			_, _ = rw.Write(b[:n])
			_ = flush()
			if err != nil {
				break
			}
		}
		rw.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		rw.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	}
}

func startGRPC(t *testing.T, routes string) *World {
	t.Helper()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("cert", "g.example")+Gateway("edge",
		`{name: http, protocol: HTTP, port: 80}`,
		`{name: tls, protocol: HTTPS, port: 443, hostname: g.example, tls: {certificateRefs: [{name: cert}]}}`)+
		Service("a")+Service("b")+Service("c")+routes)
	for _, name := range []string{"a", "b", "c"} {
		w.Backend("shop/" + name).Answer(calls(name))
	}
	return w
}

// GRPCRoutes match services, methods and headers; the more of a service and method
// a match names, the sooner it is tried.
func TestGRPCRouting(t *testing.T) {
	t.Parallel()
	w := startGRPC(t, GRPC("any", "g.example", `{matches: [{method: {method: Get}}], backendRefs: [{name: a, port: 80}]}`,
		`{matches: [{method: {service: shop.v1.Cart}}], backendRefs: [{name: b, port: 80}],
		   filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-added, value: cart}]}},
		             {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-answered, value: cart}]}}]}`,
		`{matches: [{method: {service: shop.v1.Cart, method: Get}}], backendRefs: [{name: c, port: 80}]}`,
		`{matches: [{method: {type: RegularExpression, service: "shop[.]v2[.].+", method: "(Put|Drop)"}, headers: [{name: color, value: blue}]}], backendRefs: [{name: a, port: 80}]}`,
		`{name: gone, matches: [{method: {service: gone}}], backendRefs: [{name: gone, port: 80}]}`))
	c := w.Client("", PriorKnowledge)
	ask := func(method, want string, fields ...string) {
		t.Helper()
		a := w.Over(c, "POST http://g.example/"+method, "hello", append(fields, "content-type: application/grpc", "te: trailers")...)
		got, status := strings.TrimSpace(a.Header.Get("X-Seen")), a.Header.Get("Grpc-Status")
		if status != "" {
			got = status
		}
		if a.Status != 200 || got != want || status == "" && a.Body != "hello" {
			t.Errorf("%s: %d %q %q, want %q", method, a.Status, got, a.Body, want)
		}
	}
	ask("x.Y/Get", "a HTTP/2.0 trailers")
	ask("shop.v1.Cart/Put", "b HTTP/2.0 trailers cart")
	ask("shop.v1.Cart/Get", "c HTTP/2.0 trailers")
	ask("shop.v2.Cart/Put", "a HTTP/2.0 trailers", "color: blue")
	ask("shop.v2.Cart/Put", "12", "color: red")
	ask("shop.v2.Cart/Puts", "12", "color: blue")
	ask("x.Y/Other", "12")
	ask("gone/Get", "14")
	if a := w.Over(c, "POST http://g.example/shop.v1.Cart/Put", "", "content-type: application/grpc"); a.Header.Get("X-Answered") != "cart" {
		t.Errorf("answer %v", a.Header)
	}
}

// A stream goes both ways at once, over TLS and in the clear, and ends with trailers.
func TestGRPCStreams(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := startGRPC(t, ca.Secret("cert", "g.example")+GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`))
	for url, c := range map[string]*http.Client{
		"http://g.example/a.B/C":  w.Client("", PriorKnowledge),
		"https://g.example/a.B/C": w.Client("shop/edge/tls", TLS(ca.Trusted())),
	} {
		in, out := io.Pipe()
		r, err := http.NewRequest(http.MethodPost, url, in)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/grpc")
		a, err := c.Do(r) // returns before any content was sent
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		for _, word := range []string{"ping", "pong"} {
			_, _ = io.WriteString(out, word)
			if n, err := io.ReadFull(a.Body, b[:len(word)]); err != nil || string(b[:n]) != word {
				t.Fatalf("%s: got %q, %v", url, b[:n], err)
			}
		}
		_ = out.Close()
		if rest, err := io.ReadAll(a.Body); len(rest) > 0 || err != nil {
			t.Errorf("%s: rest %q, %v", url, rest, err)
		}
		if a.Trailer.Get("Grpc-Status") != "0" || a.Trailer.Get("Grpc-Message") != "fine" {
			t.Errorf("%s: trailer %v", url, a.Trailer)
		}
	}
}

// A ValidationPolicy that bounds content holds up no conversation: what the backend says
// goes on before all content has come, and content beyond the bound ends it.
func TestBoundedStream(t *testing.T) {
	t.Parallel()
	w := startGRPC(t, GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`)+Validation("v", "Gateway/edge", "rules: {checks: {size: {maxBodyBytes: 20}}}"))
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://g.example/a.B/C", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	a, err := w.Client("", PriorKnowledge).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	for _, word := range []string{"first ping", "other ping"} {
		_, _ = io.WriteString(out, word)
		if n, err := io.ReadFull(a.Body, b); err != nil || string(b[:n]) != word {
			t.Fatalf("got %q, %v", b[:n], err)
		}
	}
	_, _ = io.WriteString(out, "and more")
	if rest, err := io.ReadAll(a.Body); len(rest) > 0 || err == nil && a.Trailer.Get("Grpc-Status") == "0" {
		t.Errorf("too much: %q, %v, %v", rest, err, a.Trailer)
	}
}

// An answer that is all head stays so: its end comes with its fields.
func TestGRPCTrailersOnly(t *testing.T) {
	t.Parallel()
	w := startGRPC(t, GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`))
	w.Backend("shop/a").Answer(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Grpc-Status", "5") })
	r, err := http.NewRequest(http.MethodPost, "http://g.example/a.B/C", io.NopCloser(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Client("", PriorKnowledge).Do(r)
	if err != nil || a.Header.Get("Grpc-Status") != "5" || a.ContentLength != 0 { // -1 where the end comes later
		t.Fatalf("got %+v, %v", a, err)
	}
}

// A backend that breaks its answer off leaves a gRPC client an outcome. Over HTTP/1.1,
// where not everyone looks for one, what is cut short must not seem whole.
func TestGRPCBroken(t *testing.T) {
	t.Parallel()
	w := startGRPC(t, GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`))
	w.Backend("shop/a").Answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/grpc")
		_, _ = io.WriteString(rw, "part")
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	for name, c := range map[string]*http.Client{"HTTP/2": w.Client("", PriorKnowledge), "HTTP/1.1": w.Client("")} {
		a, err := c.Post("http://g.example/a.B/C", "application/grpc", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(a.Body)
		whole := err == nil && a.Trailer.Get("Grpc-Status") == "14" && a.Trailer.Get("Grpc-Message") == "backend_aborted"
		if string(body) != "part" || whole != (name == "HTTP/2") || !whole && err == nil {
			t.Errorf("%s: %q, %v, trailer %v", name, body, err, a.Trailer)
		}
	}
}

// A client that goes ends the backend's part, whether or not it had more to send.
func TestGRPCCancel(t *testing.T) {
	t.Parallel()
	w := startGRPC(t, GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`))
	told := make(chan struct{}, 1)
	w.Backend("shop/a").Answer(func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
		told <- struct{}{}
	})
	c := w.Client("", PriorKnowledge)
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	for name, content := range map[string]io.Reader{"all sent": strings.NewReader("x"), "more to send": in} {
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://g.example/a.B/C", content)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		_ = a.Body.Close()
		select {
		case <-told:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the backend was not told", name)
		}
	}
}

// A host takes routes of one kind: those of the older.
func TestGRPCBesideHTTP(t *testing.T) {
	t.Parallel()
	aged := func(route, at string) string {
		return strings.Replace(route, "namespace: shop}", "namespace: shop, creationTimestamp: '"+at+"'}", 1)
	}
	w := startGRPC(t, aged(GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`), "2026-01-01T00:00:00Z")+
		aged(HostRoute("h", "g.example", `{matches: [{path: {value: /h}}], backendRefs: [{name: b, port: 80}]}`), "2026-02-01T00:00:00Z"))
	w.Backend("shop/b").Answer(nil)
	if a := w.Over(w.Client("", PriorKnowledge), "POST http://g.example/h", "", "content-type: application/grpc"); !strings.HasPrefix(a.Header.Get("X-Seen"), "a ") {
		t.Errorf("got %v", a.Header)
	}
	w.Delete(GRPC("g", "g.example", `{backendRefs: [{name: a, port: 80}]}`))
	if s := w.Do("GET http://g.example/h").Seen(); s.Service != "shop/b" {
		t.Errorf("got %+v", s)
	}
}

// An HTTPRoute's backend speaks HTTP/2 where its Service says so.
func TestH2CBackends(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"kubernetes.io/h2c", "grpc"} {
		w := Start(t, Base+Gateway("edge", `{name: http, protocol: HTTP, port: 80}`)+
			strings.Replace(Service("a"), "port: 80", "port: 80, appProtocol: "+protocol, 1)+Route("r", `{backendRefs: [{name: a, port: 80}]}`))
		w.Backend("shop/a").Answer(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.Proto+" "+r.Host) })
		for _, c := range []*http.Client{w.Client(""), w.Client("", PriorKnowledge)} {
			if a := w.Over(c, "GET http://a.example/", ""); a.Status != 200 || a.Body != "HTTP/2.0 a.example" {
				t.Errorf("%s: got %d %q", protocol, a.Status, a.Body)
			}
		}
	}
}
