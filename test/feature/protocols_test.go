package feature

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A gRPC client that is refused reads grpc-status, as docs/policies.md maps it, and the code
// as grpc-message; nothing of its call reaches the backend.
func TestGRPCDenials(t *testing.T) {
	t.Parallel()
	rule := func(name string) string {
		return `{name: ` + name + `, matches: [{method: {service: ` + name + `}}], backendRefs: [{name: a, port: 80}]}`
	}
	w := startGRPC(t, key("good", "k-good", "")+GRPC("g", "g.example", rule("keys"), rule("never"), rule("broken"), rule("waits"), rule("login"), rule("own"), rule("small"), rule("typed"))+
		Auth("keys", "GRPCRoute/g/keys", `rules: {authentication: {keys: {`+apiKeys+`}}}`)+
		Auth("never", "GRPCRoute/g/never", `rules: {authorization: {no: {cel: "false"}}}`)+
		Auth("broken", "GRPCRoute/g/broken", `rules: {authorization: {no: {cel: "request.nope"}}}`)+
		Auth("waits", "GRPCRoute/g/waits", `rules: {authentication: {people: {basic: {secretRef: {name: gone}}}}}`)+
		Auth("login", "GRPCRoute/g/login", `rules: {authentication: {staff: {oidc: {issuer: "http://127.0.0.1:1", clientID: shop, clientSecretRef: {name: client}}}}}`)+
		Auth("own", "GRPCRoute/g/own", `rules: {authorization: {no: {cel: "false"}}, response: {denied: {body: go away}}}`)+
		Validation("small", "GRPCRoute/g/small", `rules: {checks: {it: {maxBodyBytes: 3}}}`)+
		Validation("typed", "GRPCRoute/g/typed", `rules: {checks: {it: {headers: [{name: x-tenant, required: true}]}}}`)+tokenClient)
	c := w.Client("", PriorKnowledge)
	call := func(service, status, message string, fields ...string) {
		t.Helper()
		before := w.Backend("shop/a").Asked()
		a := w.Over(c, "POST http://g.example/"+service+"/Get", "hello", append(fields, "content-type: application/grpc", "te: trailers")...)
		got := a.Header
		if got.Get("Grpc-Status") == "" {
			got = a.Trailer
		}
		if a.Status != 200 || got.Get("Grpc-Status") != status || got.Get("Grpc-Message") != message || a.Header.Get("Content-Type") != "application/grpc" {
			t.Errorf("%s %v: %d %v %v, want %s %s", service, fields, a.Status, a.Header, a.Trailer, status, message)
		}
		if asked := w.Backend("shop/a").Asked() - before; asked != 0 && status != "0" {
			t.Errorf("%s: the backend was asked", service)
		}
	}
	const unauthenticated, denied, unavailable, internal, unknown = "16", "7", "14", "13", "2"
	call("keys", "0", "fine", "x-api-key: k-good")
	call("keys", unauthenticated, "auth_missing")
	call("keys", unauthenticated, "api_key_unknown", "x-api-key: k-bad")
	call("never", denied, "forbidden_by_rule")
	call("own", denied, "denied")
	call("broken", unavailable, "policy_invalid")
	call("waits", unavailable, "auth_unavailable")
	call("login", unauthenticated, "auth_missing") // nobody is redirected
	call("small", unknown, "content_too_large")
	call("typed", internal, "parameter_invalid")
	w.Apply(Auth("all", "Gateway/edge", "requireAuth: true"))
	call("typed", denied, "route_unguarded", "x-tenant: a")
}

// A WebSocket is judged when it asks for the upgrade, and once.
func TestWebSocketIsJudgedAtTheHandshake(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+
		Auth("a", guarded, `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {keys: shop}}, from: [{header: X-API-Key}, {query: key}]}}}, authorization: {chat: {cel: "request.path == '/chat'"}}}`))
	w.Backend("shop/api").Answer(echoUpgraded)
	dial := func(target, field string) (net.Conn, *bufio.Reader, *http.Response) {
		t.Helper()
		c, err := net.Dial("tcp", w.Addr(""))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"+field+"\r\n")
		in := bufio.NewReader(c)
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c, in, response
	}
	for _, refused := range []struct {
		target, field string
		status        int
	}{{"/chat", "", 401}, {"/chat", "X-API-Key: bad\r\n", 401}, {"/chat?key=bad", "", 401}, {"/other", "X-API-Key: k-good\r\n", 403}} {
		if _, _, a := dial(refused.target, refused.field); a.StatusCode != refused.status || a.Header.Get("Upgrade") != "" {
			t.Errorf("%s: %d %v", refused.target, a.StatusCode, a.Header)
		}
	}
	if n := w.Backend("shop/api").Asked(); n != 0 {
		t.Errorf("%d refused handshakes reached the backend", n)
	}
	c, in, a := dial("/chat?key=k-good", "")
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("X-Path") != "/chat" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	// What is open stays open when the key is revoked; nobody opens another.
	w.Delete(key("good", "k-good", ""))
	if _, _, a := dial("/chat?key=k-good", ""); a.StatusCode != 401 {
		t.Errorf("with a revoked key: %d", a.StatusCode)
	}
	_, _ = io.WriteString(c, "still here\n")
	for _, want := range []string{"ready\n", "STILL HERE\n"} {
		if line, err := in.ReadString('\n'); err != nil || line != want {
			t.Errorf("%q, %v, want %q", line, err, want)
		}
	}
}

// So is a stream of server-sent events, whose events arrive one by one.
func TestEventStreamIsJudgedAtItsBeginning(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}}`))
	for proto, client := range map[string]*http.Client{"HTTP/1.1": w.Client(""), "HTTP/2": w.Client("", PriorKnowledge)} {
		next := make(chan string)
		w.Backend("shop/api").Answer(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			for {
				_ = http.NewResponseController(rw).Flush()
				select {
				case event, more := <-next:
					if !more {
						return
					}
					_, _ = io.WriteString(rw, "data: "+event+"\n\n")
				case <-r.Context().Done():
					return
				}
			}
		})
		is := func(want string, fields ...string) {
			t.Helper()
			if got := outcome(w.Over(client, "GET http://a/events", "", append(fields, "accept: text/event-stream")...)); got != want {
				t.Errorf("%s %v: %s, want %s", proto, fields, got, want)
			}
		}
		is("401 auth_missing")
		is("401 api_key_unknown", "x-api-key: bad")
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", "k-good")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(response.Body)
		says := func(event string) {
			t.Helper()
			select {
			case next <- event:
			case <-ctx.Done():
				t.Fatal("the backend does not take the event")
			}
			line, err := in.ReadString('\n')
			blank, _ := in.ReadString('\n')
			if err != nil || strings.TrimSpace(line) != "data: "+event || blank != "\n" {
				t.Errorf("%s: %q %q %v", proto, line, blank, err)
			}
		}
		says("one")
		w.Delete(key("good", "k-good", ""))
		is("401 api_key_unknown", "x-api-key: k-good")
		says("two")
		close(next) // the stream ends
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%s: after the last event: %v", proto, err)
		}
		_ = response.Body.Close()
		w.Apply(key("good", "k-good", ""))
	}
	if n := w.Backend("shop/api").Asked(); n != 2 {
		t.Errorf("the backend was asked %d times", n)
	}
}

// A preflight is answered by the CORS filter whatever guards the route: no policy sees it.
func TestPreflightsMeetNoPolicy(t *testing.T) {
	t.Parallel()
	const shared = `filters: [{type: CORS, cors: {allowOrigins: ["https://page.example"], allowMethods: [PUT]}}], backendRefs: [{name: api, port: 80}]}`
	path := func(name string) string {
		return `{name: ` + name + `, matches: [{path: {value: /` + name + `}}], ` + shared
	}
	w := Start(t, Base+Service("authz")+Route("r", path("keys"), path("never"), path("broken"), path("waits"), path("asked"), path("form"))+
		Auth("keys", "HTTPRoute/r/keys", `rules: {authentication: {keys: {`+apiKeys+`}}}`)+
		Auth("never", "HTTPRoute/r/never", `rules: {authorization: {no: {cel: "false"}}}`)+
		Auth("broken", "HTTPRoute/r/broken", `rules: {authorization: {no: {cel: "request.nope"}}}`)+
		Auth("waits", "HTTPRoute/r/waits", `rules: {authentication: {people: {basic: {secretRef: {name: gone}}}}}`)+
		Auth("asked", "HTTPRoute/r/asked", `rules: {authorization: {no: {externalAuth: {backendRef: {name: authz, port: 80}, http: {}}}}}`)+
		Validation("form", "HTTPRoute/r/form", `rules: {checks: {it: {headers: [{name: x-tenant, required: true}]}}}`))
	w.Backend("shop/authz").Answer(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(403) })
	for name, refused := range map[string]int{"keys": 401, "never": 403, "broken": 500, "waits": 503, "asked": 403, "form": 400} {
		a := w.Do("OPTIONS http://a/"+name, "Origin: https://page.example", "Access-Control-Request-Method: PUT")
		if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://page.example" {
			t.Errorf("preflight to %s: %d %v", name, a.Status, a.Header)
		}
		// What is no preflight is judged, and the page may read why it is refused.
		if a := w.Do("PUT http://a/"+name, "Origin: https://page.example"); a.Status != refused || a.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d %v, want %d", name, a.Status, a.Header, refused)
		}
	}
	for _, name := range []string{"api", "authz"} {
		if n := w.Backend("shop/" + name).Asked(); name == "api" && n != 0 || name == "authz" && n != 1 {
			t.Errorf("%s was asked %d times", name, n)
		}
	}
}
