package feature

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pods are the backends behind one Service, each with an address of its own.
type pods struct {
	w       *World
	service string
	port    int
	servers map[string]*httptest.Server // by address
}

// startPods starts a Service "shop/<name>" with so many backends. They answer with
// the Service's name and their address.
func (w *World) startPods(name string, n int) *pods {
	w.t.Helper()
	p := &pods{w, name, 0, map[string]*httptest.Server{}}
	var addresses []string
	for i := range n {
		address := fmt.Sprintf("127.0.0.%d", 10+i)
		l, err := net.Listen("tcp", net.JoinHostPort(address, itoa(p.port)))
		if err != nil {
			w.t.Fatal(err)
		}
		p.port = l.Addr().(*net.TCPAddr).Port
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Pod", name+" "+address)
			switch r.URL.Query().Get("fail") {
			case address, "all":
				rw.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		s.Listener = l
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		w.t.Cleanup(s.Close)
		p.servers[address] = s
		addresses = append(addresses, address)
	}
	w.Apply(strings.Replace(Service(name), "shop}", "shop, annotations: {test/endpoints: none}}", 1))
	p.are(addresses...)
	return p
}

// are makes these addresses, and no others, the Service's; one with a ! is draining.
func (p *pods) are(addresses ...string) {
	p.w.t.Helper()
	var list []string
	for _, a := range addresses {
		conditions := "ready: true"
		if cut, draining := strings.CutPrefix(a, "!"); draining {
			a, conditions = cut, "ready: false, serving: true, terminating: true"
		}
		list = append(list, fmt.Sprintf(`{addresses: ["%s"], conditions: {%s}}`, a, conditions))
	}
	slice := endpoints(p.service, "", p.port, "")
	p.w.Apply(strings.Replace(slice, `[{addresses: [""], conditions: {}}]`, "["+strings.Join(list, ", ")+"]", 1))
}

// visitor is a caller who keeps cookies, as a browser does, but of no particular path.
type visitor struct {
	w      *World
	client *http.Client
	fields []string
	line   string
}

func (v *visitor) ask(t *testing.T) (pod, began string) {
	t.Helper()
	a := v.w.Over(v.client, v.line, "", v.fields...)
	if a.Code() != "" {
		t.Logf("%s: %d %s", v.line, a.Status, a.Body)
	}
	return a.Header.Get("X-Pod"), a.Header.Get("Set-Cookie")
}

// meet asks for the first time and keeps the cookie.
func (v *visitor) meet(t *testing.T) (pod, cookie string) {
	t.Helper()
	pod, cookie = v.ask(t)
	if pod == "" || cookie == "" {
		t.Fatalf("%s: pod %q, cookie %q", v.line, pod, cookie)
	}
	pair, _, _ := strings.Cut(cookie, ";")
	v.fields = []string{"Cookie: " + pair}
	return pod, cookie
}

// stays asks often and wants the same pod, and no new session.
func (v *visitor) stays(t *testing.T, pod string) {
	t.Helper()
	for range 30 {
		if got, began := v.ask(t); got != pod || began != "" {
			t.Fatalf("%s: at %q with %q, want %q", v.line, got, began, pod)
		}
	}
}

func TestSessionCookies(t *testing.T) {
	w := Start(t, Base)
	p := w.startPods("cart", 5)
	w.Apply(Route("r",
		`{matches: [{path: {value: /a}}, {path: {type: Exact, value: /b/c}}, {path: {type: RegularExpression, value: "/r/s/[0-9]+"}}], sessionPersistence: {sessionName: id}, backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /other}}], sessionPersistence: {}, backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /long}}], sessionPersistence: {sessionName: long, absoluteTimeout: 5m, cookieConfig: {lifetimeType: Permanent}}, backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /short}}], sessionPersistence: {sessionName: short, absoluteTimeout: 400ms}, backendRefs: [{name: cart, port: 80}]}`,
		`{matches: [{path: {value: /none}}], backendRefs: [{name: cart, port: 80}]}`))
	client := w.Client("")
	at := func(line string, fields ...string) *visitor { return &visitor{w, client, fields, line} }
	attributes := func(line, want string) {
		t.Helper()
		_, cookie := at(line).meet(t)
		if _, got, _ := strings.Cut(cookie, "; "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
		if strings.Contains(cookie, "127.0.0") || strings.Contains(cookie, itoa(p.port)) {
			t.Errorf("%s tells where pods are", cookie)
		}
	}
	attributes("GET http://a/a/x", "Path=/a; HttpOnly; SameSite=Strict")
	attributes("GET http://a/b/c", "Path=/b/c; HttpOnly; SameSite=Strict")
	attributes("GET http://a/r/s/17", "Path=/r/s; HttpOnly; SameSite=Strict")
	attributes("GET http://a/long", "Path=/long; Max-Age=300; HttpOnly; SameSite=Strict")
	attributes("GET http://a/short", "Path=/short; HttpOnly; SameSite=Strict")

	seen := map[string]bool{}
	for range 40 {
		v := at("GET http://a/a")
		pod, _ := v.meet(t)
		seen[pod] = true
		v.stays(t, pod)
	}
	if len(seen) != 5 {
		t.Errorf("new sessions went to %v", seen)
	}
	v := at("POST http://a/long")
	pod, _ := v.meet(t)
	v.stays(t, pod)

	// A session is its rule's alone, even by a cookie of the same name.
	v = at("GET http://a/a")
	v.meet(t)
	v.line = "GET http://a/other"
	if _, began := v.ask(t); !strings.HasPrefix(began, "gatehouse-session-") {
		t.Errorf("another rule took the session: %q", began)
	}
	v.line = "GET http://a/none"
	if _, began := v.ask(t); began != "" {
		t.Errorf("a rule without sessions began one: %q", began)
	}
	// What nobody has sealed begins a session.
	for _, forged := range []string{"", "x", strings.Repeat("A", 100)} {
		if _, began := at("GET http://a/a", "Cookie: id="+forged).ask(t); began == "" {
			t.Errorf("%q was taken", forged)
		}
	}
	// It ends when its time is over, whatever the caller sends.
	v = at("GET http://a/short")
	v.meet(t)
	time.Sleep(450 * time.Millisecond)
	if _, began := v.ask(t); began == "" {
		t.Error("the session outlived its absoluteTimeout")
	}
}

// Over TLS the cookie is for TLS.
func TestSessionCookieOverTLS(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+ca.Secret("cert", "a.example")+Gateway("edge", `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+
		Route("r", `{sessionPersistence: {sessionName: id}, backendRefs: [{name: api, port: 80}]}`))
	a := w.Over(w.Client("shop/edge/tls", TLS(ca.Trusted())), "GET https://a.example/", "")
	if cookie := a.Header.Get("Set-Cookie"); a.Proto != "HTTP/2.0" || !strings.HasSuffix(cookie, "; Path=/; HttpOnly; SameSite=Strict; Secure") {
		t.Errorf("%s: %q", a.Proto, cookie)
	}
}

func TestSessionHeaders(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+HostRoute("r", "a.example", `{sessionPersistence: {type: Header, sessionName: X-Session}, backendRefs: [{name: cart, port: 80}]}`)+
		GRPC("g", "g.example", `{sessionPersistence: {type: Header, sessionName: x-session}, backendRefs: [{name: calls, port: 80}]}`))
	w.startPods("cart", 4)
	w.startPods("calls", 4)
	is := func(client *http.Client, line string, fields ...string) {
		t.Helper()
		first := w.Over(client, line, "", fields...)
		token, pod := first.Header.Get("X-Session"), first.Header.Get("X-Pod")
		if token == "" || pod == "" || first.Header.Get("Set-Cookie") != "" {
			t.Fatalf("%s: %v", line, first.Header)
		}
		for range 30 {
			if a := w.Over(client, line, "", append(fields, "X-Session: "+token)...); a.Header.Get("X-Pod") != pod || a.Header.Get("X-Session") != "" {
				t.Fatalf("%s: %v, want %s", line, a.Header, pod)
			}
		}
	}
	is(w.Client(""), "GET http://a.example/")
	is(w.Client("", PriorKnowledge), "POST http://g.example/a.B/C", "content-type: application/grpc")
}

// A session lives as long as its endpoint, which may be draining; then another
// begins at one that is there.
func TestSessionChurn(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", `{sessionPersistence: {sessionName: id}, retry: {codes: [503], attempts: 3, backoff: 1ms}, backendRefs: [{name: cart, port: 80}]}`))
	p := w.startPods("cart", 3)
	v := &visitor{w, w.Client(""), nil, "GET http://a/"}
	pod, _ := v.meet(t)
	mine := strings.TrimPrefix(pod, "cart ")
	var others []string
	for a := range p.servers {
		if a != mine {
			others = append(others, a)
		}
	}
	p.are(append(others, "!"+mine)...)
	v.stays(t, pod)
	p.are(append(others, mine)...)
	v.stays(t, pod)

	// What fails is asked again where the session is.
	before := v.line
	v.line += "?fail=" + mine
	if got, began := v.ask(t); got != pod || began != "" {
		t.Errorf("tried again at %q, %q", got, began)
	}
	v.line = before

	p.are(others...)
	next, cookie := v.meet(t)
	if next == pod || cookie == "" {
		t.Errorf("at %q, %q when %q was gone", next, cookie, pod)
	}
	v.stays(t, next)

	// One that is not reached is left, too.
	p.servers[strings.TrimPrefix(next, "cart ")].Close()
	last, _ := v.meet(t)
	if last == next {
		t.Errorf("still at %q", last)
	}
	v.stays(t, last)
}

// Weights say where sessions begin, and not where they go on.
func TestSessionWeights(t *testing.T) {
	w := Start(t, Base)
	old, young := w.startPods("old", 2), w.startPods("young", 2)
	weights := func(a, b int) {
		w.Apply(Route("r", fmt.Sprintf(`{sessionPersistence: {sessionName: id}, backendRefs: [{name: old, port: 80, weight: %d}, {name: young, port: 80, weight: %d}]}`, a, b)))
	}
	weights(70, 30)
	count := map[string]int{}
	var first *visitor
	var at string
	for range 400 {
		v := &visitor{w, w.Client(""), nil, "GET http://a/"}
		pod, _ := v.meet(t)
		service, _, _ := strings.Cut(pod, " ")
		if count[service]++; service == "old" {
			first, at = v, pod
		}
		v.client.CloseIdleConnections()
	}
	if n := count["old"]; n < 230 || n > 330 {
		t.Errorf("%d of 400 sessions began at the one of weight 70", n)
	}
	weights(0, 100)
	first.stays(t, at)
	for range 20 {
		if pod, _ := (&visitor{w, first.client, nil, "GET http://a/"}).meet(t); !strings.HasPrefix(pod, "young") {
			t.Fatalf("a session began at %q", pod)
		}
	}
	// Where there is no weight, nothing new begins: not even when a pod is gone.
	old.are()
	if pod, _ := first.meet(t); !strings.HasPrefix(pod, "young") {
		t.Errorf("the session went on at %q", pod)
	}
	// With a weight it stays at the Service.
	weights(1, 1000)
	_, mine, _ := strings.Cut(func() string { pod, _ := first.ask(t); return pod }(), " ")
	for a := range young.servers {
		if a != mine {
			young.are(a)
		}
	}
	if pod, _ := first.meet(t); !strings.HasPrefix(pod, "young") {
		t.Errorf("the session went on at %q", pod)
	}
}

// Replicas that have the same keys know each other's sessions.
func TestSessionKeys(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", `{sessionPersistence: {sessionName: id}, backendRefs: [{name: cart, port: 80}]}`))
	w.startPods("cart", 4)
	set := func(keys ...string) {
		t.Helper()
		if err := w.Server.SetSessionKeys(keys...); err != nil {
			t.Fatal(err)
		}
	}
	now, next := strings.Repeat("n", 32), strings.Repeat("x", 32)
	set(now)
	v := &visitor{w, w.Client(""), nil, "GET http://a/"}
	pod, _ := v.meet(t)
	set(next, now)
	v.stays(t, pod)
	set(next)
	if _, began := v.ask(t); began == "" {
		t.Error("a session outlived its key")
	}
}
