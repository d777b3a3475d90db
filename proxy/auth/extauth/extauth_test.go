package extauth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"go.uber.org/goleak"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is an Owner, with a backend "shop/authz:9000" whose endpoint tests set.
type stage struct {
	*Owner
	backends *upstream.Set
	mu       sync.Mutex
	asked    map[string]int
}

func newStage(t testing.TB) *stage {
	t.Helper()
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{backends: upstream.New(upstream.Config{}), asked: map[string]int{}}
	s.Owner = NewOwner(Config{Through: s.through, Env: env, Asked: func(_, outcome string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked[outcome]++
	}})
	t.Cleanup(func() {
		s.Close()
		s.backends.Close()
	})
	return s
}

func (s *stage) through(backend string, http2 bool) http.RoundTripper {
	return remote.Through(s.backends.Backend(backend, ""), http2)
}

func (s *stage) endpoint(address string) {
	s.backends.SetEndpoints("shop/authz:9000", []table.Endpoint{{Address: netip.MustParseAddrPort(address)}})
}

func (s *stage) service(t testing.TB, c table.ExternalAuth) *Service {
	t.Helper()
	if c.URL == "" {
		c.Backend = "shop/authz:9000"
	}
	out, err := s.Service(&c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// request is an exchange of "GET /a?b=c" for api.example.com with these fields.
func request(fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{
		Local: netip.MustParseAddrPort("192.0.2.1:443"), Peer: netip.MustParseAddrPort("198.51.100.7:4000"), Protocol: "HTTP/1.1", SNI: "api.example.com",
	}}
	x.Request = exchange.Request{Method: "GET", Scheme: "https", Authority: "api.example.com", Host: "api.example.com", Path: "/a", RawQuery: "b=c"}
	x.Request.ClientIP = x.Conn.Peer.Addr()
	for i := 0; i < len(fields); i += 2 {
		x.Request.Header.Add(fields[i], fields[i+1])
	}
	return x
}

func with(x *exchange.Exchange, content string, length int) *exchange.Exchange {
	x.Request.Method, x.Request.ContentLength = "POST", int64(length)
	x.Request.Body = &exchange.Buffered{Content: []byte(content)}
	return x
}

// shown is the fields of h in one line.
func shown(h exchange.Header) string {
	var out []string
	for _, f := range h {
		if f.Name != "" {
			out = append(out, strings.ToLower(f.Name)+"="+f.Value)
		}
	}
	return strings.Join(out, " ")
}

// envoy is an authorization server as one is written for Envoy.
type envoy struct {
	authv3.UnimplementedAuthorizationServer
	seen   atomic.Pointer[authv3.CheckRequest]
	calls  atomic.Int32
	answer func(*authv3.CheckRequest) (*authv3.CheckResponse, error)
}

func (e *envoy) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	e.seen.Store(r)
	e.calls.Add(1)
	return e.answer(r)
}

func (e *envoy) serve(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, e)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

func setting(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

func allows(o *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &rpc.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: o}}
}

func denies(d *authv3.DeniedHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &rpc.Status{Code: int32(codes.PermissionDenied)}, HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: d}}
}

func TestCheckRequest(t *testing.T) {
	e := &envoy{answer: func(*authv3.CheckRequest) (*authv3.CheckResponse, error) { return allows(nil), nil }}
	s := newStage(t)
	s.endpoint(e.serve(t))
	all := s.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"*"}, MaxBody: 100, Context: []table.Header{{Name: "tier", Value: "gold"}}})
	x := with(request("Authorization", "Bearer t", "X-Many", "1", "x-many", "2", "Cookie", "a=1", "Cookie", "b=2", "X-Bad", "\xff"), "hello", 5)
	if r := all.Authorize(x); r.Outcome != auth.Accepted || r.Answer != nil {
		t.Fatalf("%+v", r)
	}
	a := e.seen.Load().GetAttributes()
	h := a.GetRequest().GetHttp()
	if h.GetMethod() != "POST" || h.GetPath() != "/a?b=c" || h.GetHost() != "api.example.com" || h.GetScheme() != "https" || h.GetProtocol() != "HTTP/1.1" || h.GetSize() != 5 || h.GetBody() != "hello" {
		t.Errorf("http %v", h)
	}
	want := map[string]string{
		"authorization": "Bearer t", "x-many": "1,2", "cookie": "a=1; b=2", "x-bad": "!",
		":authority": "api.example.com", ":method": "POST", ":path": "/a?b=c", ":scheme": "https",
		"x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com",
	}
	if fmt.Sprint(h.GetHeaders()) != fmt.Sprint(want) {
		t.Errorf("headers %v", h.GetHeaders())
	}
	if got := a.GetSource().GetAddress().GetSocketAddress(); got.GetAddress() != "198.51.100.7" || got.GetPortValue() != 4000 {
		t.Errorf("source %v", got)
	}
	if got := a.GetDestination().GetAddress().GetSocketAddress(); got.GetAddress() != "192.0.2.1" || got.GetPortValue() != 443 {
		t.Errorf("destination %v", got)
	}
	if a.GetTlsSession().GetSni() != "api.example.com" || a.GetContextExtensions()["tier"] != "gold" || time.Since(a.GetRequest().GetTime().AsTime()) > time.Minute {
		t.Errorf("attributes %v", a)
	}
	// The content is all there for the backend.
	if p, err := x.Request.Body.Next(); string(p) != "hello" || err != nil {
		t.Errorf("content %q, %v", p, err)
	}
	if _, err := x.Request.Body.Next(); err != io.EOF {
		t.Errorf("behind it: %v", err)
	}

	some := s.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"x-a"}, MaxBody: 100})
	some.Authorize(with(request("Authorization", "Bearer t", "X-A", "1"), "\xff\x00", -1))
	h = e.seen.Load().GetAttributes().GetRequest().GetHttp()
	if fmt.Sprint(h.GetHeaders()) != "map[x-a:1]" || h.GetSize() != -1 || string(h.GetRawBody()) != "\xff\x00" || h.GetBody() != "" {
		t.Errorf("http %v", h)
	}
}

func TestCheckResponse(t *testing.T) {
	e := &envoy{}
	s := newStage(t)
	s.endpoint(e.serve(t))
	service := s.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"*"}})
	is := func(answer *authv3.CheckResponse, want string) {
		t.Helper()
		e.answer = func(*authv3.CheckRequest) (*authv3.CheckResponse, error) { return answer, nil }
		x := request("X-User", "forged", "x_user", "forged", "X-Keep", "1", "X-Gone", "1")
		got := "passed"
		if !service.FilterRequest(x) {
			got = fmt.Sprintf("%d %s", x.Response.Status, x.Response.Code)
			if x.Response.Code == auth.CodeExternal {
				got += " " + shown(x.Response.Header) + " " + string(x.Response.Body)
			}
		} else {
			got += " " + shown(x.Request.Header) + " reserved " + strings.Join(x.Request.Reserved, ",")
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%v\n got %s\nwant %s", answer, got, want)
		}
	}
	const kept = "x-user=forged x_user=forged x-keep=1 x-gone=1"
	is(allows(nil), "passed "+kept)
	is(&authv3.CheckResponse{Status: &rpc.Status{}}, "passed "+kept)
	is(allows(&authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{
			setting("X-User", "alice"),
			{Header: &corev3.HeaderValue{Key: "x-keep", Value: "2"}, Append: wrapperspb.Bool(true)},
			{Header: &corev3.HeaderValue{Key: "x-keep", Value: "3"}, AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT},
			{Header: &corev3.HeaderValue{Key: "x-none", Value: "3"}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS},
			{Header: &corev3.HeaderValue{Key: "x-raw", RawValue: []byte("r")}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
		},
		HeadersToRemove: []string{"X-Gone"},
	}), "passed x-keep=1 x-user=alice x-keep=2 x-raw=r reserved x-user,x-keep,x-keep,x-none,x-raw,x-gone")

	is(denies(nil), "403 forbidden_by_service content-type=application/problem+json")
	is(denies(&authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: 401}, Body: "who are you?",
		Headers: []*corev3.HeaderValueOption{setting("WWW-Authenticate", "Bearer"), setting("Content-Length", "99"), setting("Content-Type", "text/x")},
	}), "401 forbidden_by_service content-type=text/x gatehouse-decision=")
	is(denies(&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 302}, Headers: []*corev3.HeaderValueOption{setting("Location", "https://login.example")}}), "302 ")
	is(denies(&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 200}}), "403 ")

	// Answers that say nothing, two things, or what must not be done, let nobody pass.
	is(&authv3.CheckResponse{}, "503 external_auth_invalid")
	is(&authv3.CheckResponse{Status: &rpc.Status{}, HttpResponse: denies(&authv3.DeniedHttpResponse{}).HttpResponse}, "503 external_auth_invalid")
	is(&authv3.CheckResponse{Status: &rpc.Status{Code: 7}, HttpResponse: allows(&authv3.OkHttpResponse{}).HttpResponse}, "503 external_auth_invalid")
	for _, o := range []*corev3.HeaderValueOption{
		setting("x-a", "1\r\nx-b: 2"), setting("x-a", "1\x00"), setting("x a", "1"), setting("x-a\r\nx-b", "1"), setting("", "1"), setting("Host", "evil"),
		setting(":path", "/admin"), setting("content-length", "0"), setting("Transfer-Encoding", "chunked"), setting("connection", "x"), setting("x-a", strings.Repeat("x", maxValue+1)),
	} {
		is(allows(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{o}}), "503 external_auth_invalid")
	}
	is(denies(&authv3.DeniedHttpResponse{Headers: []*corev3.HeaderValueOption{setting("x-a", "1\r\n\r\n<script>")}}), "503 external_auth_invalid")
	is(allows(&authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{setting("x-a", "1\n")}}), "503 external_auth_invalid")
	is(allows(&authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{setting("content-length", "1")}}), "503 external_auth_invalid")
	is(allows(&authv3.OkHttpResponse{QueryParametersToSet: []*corev3.QueryParameter{{Value: "1"}}}), "503 external_auth_invalid")
	is(allows(&authv3.OkHttpResponse{QueryParametersToRemove: slices.Repeat([]string{"a"}, maxEdits+1)}), "503 external_auth_invalid")
	is(allows(&authv3.OkHttpResponse{Headers: slices.Repeat([]*corev3.HeaderValueOption{setting("x-a", "1")}, maxEdits+1)}), "503 external_auth_invalid")

	e.answer = func(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return nil, status.Error(codes.PermissionDenied, "no")
	}
	x := request()
	if service.FilterRequest(x) || x.Response.Status != 503 || x.Response.Code != auth.CodeExternalUnavailable {
		t.Errorf("an RPC that fails: %d %s", x.Response.Status, x.Response.Code)
	}
}

// What a service wants changed of the query and of the backend's answer is.
func TestGranted(t *testing.T) {
	e := &envoy{}
	stage := newStage(t)
	stage.endpoint(e.serve(t))
	service := stage.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"*"}})
	e.answer = func(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return allows(&authv3.OkHttpResponse{
			QueryParametersToSet:    []*corev3.QueryParameter{{Key: "user", Value: "a b&c"}, {Key: "new", Value: ""}},
			QueryParametersToRemove: []string{"token"},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{
				setting("X-More", "2"),
				{Header: &corev3.HeaderValue{Key: "x-none", Value: "1"}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS},
				{Header: &corev3.HeaderValue{Key: "x-set", Value: "new"}, Append: wrapperspb.Bool(false)},
			},
		}), nil
	}
	x := request()
	x.Request.RawQuery = "a=1&t%6Fken=s&user=forged&user=twice&token=t"
	if !service.FilterRequest(x) {
		t.Fatalf("%d %s", x.Response.Status, x.Response.Code)
	}
	if want := "a=1&user=a+b%26c&new="; x.Request.RawQuery != want {
		t.Errorf("query %q, want %q", x.Request.RawQuery, want)
	}
	for _, h := range [][2]string{{"x-more", "1"}, {"x-set", "old"}} {
		x.Response.Header.Add(h[0], h[1])
	}
	for _, m := range x.Granted {
		m.FilterResponse(x)
	}
	if got, want := shown(x.Response.Header), "x-more=1 x-more=2 x-set=new"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}

func TestHTTP(t *testing.T) {
	var seen *http.Request
	var content string
	answer := func(w http.ResponseWriter) {}
	s := newStage(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		seen, content = r, string(b)
		answer(w)
	}))
	defer service.Close()
	s.endpoint(service.Listener.Addr().String())
	plain := request
	request := func(fields ...string) *exchange.Exchange { // what was seen has been looked at
		s.mu.Lock()
		defer s.mu.Unlock()
		return plain(fields...)
	}
	only := func(h http.Header) string {
		var out []string
		for name, v := range h {
			out = append(out, name+"="+strings.Join(v, ","))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}

	// What is sent: to the letter of HTTPAuthConfig, whatever else the client sent.
	filter := s.service(t, table.ExternalAuth{Path: "/check/", ToBackend: []string{"*"}, ToClient: []string{"*"}})
	if r := filter.Authorize(request("Authorization", "Bearer t", "Cookie", "c", "X-A", "1", "User-Agent", "u")); r.Outcome != auth.Accepted {
		t.Fatalf("%+v", r)
	}
	if seen.Method != "GET" || seen.RequestURI != "/check/a?b=c" || seen.Host != "api.example.com" || only(seen.Header) != "Authorization=Bearer t Content-Length=0" {
		t.Errorf("%s %s %s %s", seen.Method, seen.RequestURI, seen.Host, only(seen.Header))
	}
	filter.Authorize(with(request("Content-Type", "text/plain", "Content-Length", "5"), "hello", 5))
	if seen.ContentLength != 0 || content != "" || only(seen.Header) != "Content-Length=0" {
		t.Errorf("content nobody asked for: %s %q", only(seen.Header), content)
	}
	shows := s.service(t, table.ExternalAuth{MaxBody: 5, Headers: []string{"x-a", "host", "connection"}})
	shows.Authorize(with(request("X-A", "1", "X-B", "2", "Connection", "close"), "hello", -1))
	if seen.ContentLength != 5 || content != "hello" || only(seen.Header) != "Content-Length=5 X-A=1" {
		t.Errorf("content: %d %q %s", seen.ContentLength, content, only(seen.Header))
	}
	for _, length := range []int{6, -1} {
		x := with(request(), "hello!", length)
		if r := shows.Authorize(x); r.Outcome != auth.Rejected || r.Code != auth.CodeExternalTooLarge || r.Answer.Status != 413 {
			t.Errorf("too much content: %+v", r)
		}
	}
	partial := s.service(t, table.ExternalAuth{MaxBody: 5, Partial: true})
	x := with(request(), "hello!", -1)
	if r := partial.Authorize(x); r.Outcome != auth.Accepted || content != "hello" {
		t.Errorf("the beginning of the content: %+v %q", r, content)
	}
	if p, _ := x.Request.Body.Next(); string(p) != "hello!" {
		t.Errorf("the backend is left with %q", p)
	}
	url := s.service(t, table.ExternalAuth{URL: service.URL + "/base", Path: "check", Forwarded: true})
	url.Authorize(request())
	if seen.RequestURI != "/base/check/a?b=c" || seen.Host != "api.example.com" || only(seen.Header) !=
		"X-Forwarded-For=198.51.100.7 X-Forwarded-Host=api.example.com X-Forwarded-Method=GET X-Forwarded-Proto=https X-Forwarded-Uri=/a?b=c" {
		t.Errorf("%s %s %s", seen.RequestURI, seen.Host, only(seen.Header))
	}
	x = request()
	x.Request.Path = "//evil.example/a"
	url.Authorize(x)
	if !strings.HasSuffix(seen.RequestURI, "/base/check//evil.example/a?b=c") {
		t.Errorf("%s", seen.RequestURI)
	}
	for _, bare := range []*Service{s.service(t, table.ExternalAuth{URL: service.URL}), s.service(t, table.ExternalAuth{})} {
		x = request()
		x.Request.Path = "//evil.example/a%2F<b>"
		bare.Authorize(x)
		if got := strings.NewReplacer("%3C", "<", "%3E", ">").Replace(seen.RequestURI); got != "//evil.example/a%2F<b>?b=c" || seen.Host != "api.example.com" {
			t.Errorf("%s at %s", got, seen.Host)
		}
	}

	// What comes back.
	is := func(sv *Service, status int, fields []string, body, want string) {
		t.Helper()
		s.mu.Lock()
		answer = func(w http.ResponseWriter) {
			w.Header()["Date"] = nil
			for i := 0; i < len(fields); i += 2 {
				w.Header().Add(fields[i], fields[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		s.mu.Unlock()
		x := request("X-User", "forged", "Authorization", "mine")
		got := "passed"
		if sv.FilterRequest(x) {
			got += " " + shown(x.Request.Header)
		} else {
			got = fmt.Sprintf("%d %s %s", x.Response.Status, x.Response.Code, shown(x.Response.Header))
		}
		got = strings.NewReplacer("gatehouse-decision="+decision(x), "").Replace(got)
		if strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%d %v\n got %s\nwant %s", status, fields, got, want)
		}
	}
	is(filter, 200, []string{"X-User", "alice", "X-Roles", "a", "X-Roles", "b"}, "ok", "passed authorization=mine x-roles=a x-roles=b x-user=alice")
	listed := s.service(t, table.ExternalAuth{ToBackend: []string{"x-user", "authorization"}, ToClient: []string{"location", "www-authenticate"}})
	is(listed, 200, []string{"X-User", "alice", "X-Roles", "a"}, "", "passed authorization=mine x-user=alice")
	is(listed, 200, nil, "", "passed authorization=mine")
	is(listed, 200, []string{"Authorization", "theirs"}, "", "passed authorization=theirs")
	is(s.service(t, table.ExternalAuth{}), 200, []string{"X-User", "alice"}, "", "passed x-user=forged authorization=mine")
	is(filter, 401, []string{"WWW-Authenticate", "Bearer", "Content-Type", "text/x"}, "no", "401 forbidden_by_service content-type=text/x www-authenticate=Bearer")
	is(listed, 302, []string{"Location", "https://login.example", "X-Secret", "s", "Content-Type", "text/x"}, "", "302 forbidden_by_service content-type=text/x location=https://login.example")
	is(listed, 302, []string{"Location", "https://login.example"}, "", "302 forbidden_by_service location=https://login.example")
	is(filter, 403, nil, "", "403 forbidden_by_service content-type=application/problem+json")
	is(filter, 204, nil, "", "403 forbidden_by_service content-type=application/problem+json") // only 200 allows
	is(filter, 201, []string{"Content-Type", "text/x"}, "made", "403 forbidden_by_service content-type=text/x")
	is(filter, 500, []string{"X-Secret", "s"}, "trace", "503 external_auth_unavailable content-type=application/problem+json retry-after=1")
	is(s.service(t, table.ExternalAuth{Status: 403}), 502, nil, "", "403 external_auth_unavailable content-type=application/problem+json")
	is(filter, 401, []string{"X-Large", strings.Repeat("x", 70<<10)}, "", "503 external_auth_unavailable content-type=application/problem+json retry-after=1")
	is(filter, 401, nil, strings.Repeat("x", maxAnswer+1), "503 external_auth_invalid content-type=application/problem+json retry-after=1")
	if s.asked[Allowed] == 0 || s.asked[Refused] == 0 || s.asked[Failed] == 0 || s.bodies.Load() != 0 {
		t.Errorf("asked %v, %d bytes shown", s.asked, s.bodies.Load())
	}
}

func decision(x *exchange.Exchange) string { return string(exchange.AppendID(nil, x.Trace.ID)) }

// TestFaults: whatever a service does, nobody passes, and soon.
func TestFaults(t *testing.T) {
	s := newStage(t)
	for _, grpc := range []bool{false, true} {
		service := s.service(t, table.ExternalAuth{GRPC: grpc, Timeout: 100 * time.Millisecond})
		closed := func(what string) {
			t.Helper()
			start := time.Now()
			if r := service.Authorize(request()); r.Outcome != auth.Unavailable || r.RetryAfter <= 0 || time.Since(start) > 5*time.Second {
				t.Errorf("%s, grpc %v: %+v after %v", what, grpc, r, time.Since(start))
			}
		}
		s.backends.SetEndpoints("shop/authz:9000", nil)
		closed("no endpoints")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.endpoint(l.Addr().String())
		var behave atomic.Pointer[func(net.Conn)]
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				(*behave.Load())(c)
			}
		}()
		for what, f := range map[string]func(net.Conn){
			"resets":  func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
			"hangs":   func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) },
			"rubbish": func(c net.Conn) { _, _ = io.WriteString(c, "\x00\x01SSH-2.0\r\n\r\n"); _ = c.Close() },
			"splits":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\n\r\n"); _ = c.Close() },
			"half": func(c net.Conn) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
				_ = c.Close()
			},
			"no frame": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 999 Odd\r\n\r\n"); _ = c.Close() },
		} {
			behave.Store(&f)
			closed(what)
		}
		_ = l.Close()
		<-done
		closed("down")
	}
}

func TestCache(t *testing.T) {
	e := &envoy{}
	e.answer = func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		user := r.GetAttributes().GetRequest().GetHttp().GetHeaders()["authorization"]
		if user == "" {
			return denies(nil), nil
		}
		return allows(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{setting("x-user", user)}}), nil
	}
	s := newStage(t)
	s.endpoint(e.serve(t))
	calls := func(sv *Service, want int32, x *exchange.Exchange, outcome auth.Outcome) {
		t.Helper()
		e.calls.Store(0)
		if r := sv.Authorize(x); r.Outcome != outcome {
			t.Errorf("%+v", r)
		}
		if n := e.calls.Load(); n != want {
			t.Errorf("%d calls, want %d", n, want)
		}
	}
	at := func(path string, x *exchange.Exchange) *exchange.Exchange {
		x.Request.Path = path
		return x
	}
	c := table.ExternalAuth{GRPC: true, Headers: []string{"*"}, Cache: &table.AuthCache{Headers: []string{"authorization"}, TTL: time.Minute}}
	byHeaders := s.service(t, c)
	calls(byHeaders, 1, request("Authorization", "alice"), auth.Accepted)
	calls(byHeaders, 0, request("authorization", "alice"), auth.Accepted)
	calls(byHeaders, 1, request("Authorization", "bob"), auth.Accepted)
	calls(byHeaders, 1, request(), auth.Rejected)
	calls(byHeaders, 0, request(), auth.Rejected)
	calls(byHeaders, 1, at("/admin", request("Authorization", "alice")), auth.Accepted) // what is asked for counts too
	calls(byHeaders, 1, request("Authorization", "alice", "Authorization", "bob"), auth.Accepted)
	if r := byHeaders.Authorize(request("Authorization", "bob")); r.Answer.Edits[0].Value != "bob" {
		t.Errorf("%+v", r.Answer)
	}
	calls(s.service(t, c), 0, request("Authorization", "alice"), auth.Accepted) // an equal one shares what is kept
	c.Context = []table.Header{{Name: "a", Value: "b"}}
	calls(s.service(t, c), 1, request("Authorization", "alice"), auth.Accepted) // another one does not
	c.Cache = &table.AuthCache{Key: `request.headers["authorization"] + request.path`, TTL: time.Minute}
	byKey := s.service(t, c)
	calls(byKey, 1, request("Authorization", "alice", "X-A", "1"), auth.Accepted)
	calls(byKey, 0, request("Authorization", "alice", "X-A", "2"), auth.Accepted)
	calls(byKey, 1, at("/b", request("Authorization", "alice")), auth.Accepted)
	c.Context = []table.Header{{Name: "a", Value: "c"}}
	calls(s.service(t, c), 1, request("Authorization", "alice"), auth.Accepted) // a key is one of this service's
	calls(byKey, 1, request(), auth.Rejected)                                   // no key: nothing is kept
	calls(byKey, 1, request(), auth.Rejected)

	c.Cache = &table.AuthCache{Key: `request.headers["x-k"]`, TTL: time.Minute}
	calls(s.service(t, c), 1, request("Authorization", "alice", "X-K", ""), auth.Accepted)
	calls(s.service(t, c), 1, request("Authorization", "alice", "X-K", ""), auth.Accepted) // an empty one is none
	// Which field has a value counts, and whether there is a query.
	c.Cache = &table.AuthCache{Headers: []string{"authorization", "x-a"}, TTL: time.Minute}
	calls(s.service(t, c), 1, request("Authorization", "alice"), auth.Accepted)
	calls(s.service(t, c), 1, request("X-A", "alice"), auth.Rejected)
	c.Cache = &table.AuthCache{Headers: []string{"x-tenant"}, TTL: time.Minute}
	calls(s.service(t, c), 1, request("Authorization", "alice", "X-Tenant", "a"), auth.Accepted)
	calls(s.service(t, c), 1, request("X-Tenant", "a"), auth.Rejected) // by what the service sees of a caller, listed or not
	query := request("Authorization", "alice")
	query.Request.EmptyQuery = true
	calls(s.service(t, c), 1, query, auth.Accepted)

	e.answer = func(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return nil, status.Error(codes.Unavailable, "down")
	}
	calls(byHeaders, 0, request("Authorization", "alice"), auth.Accepted)
	calls(byHeaders, 1, request("Authorization", "carol"), auth.Unavailable)
	for range 10 {
		calls(byHeaders, 0, request("Authorization", "carol"), auth.Unavailable) // it rests
	}
}

func TestServiceIsChecked(t *testing.T) {
	s := newStage(t)
	for _, c := range []table.ExternalAuth{
		{},
		{Backend: "a/b:1", URL: "http://x"},
		{URL: "ftp://x"},
		{URL: "http://"},
		{URL: "http://u:p@x"},
		{URL: "http://x?a"},
		{URL: "http://x/%2e%2e/a"},
		{Backend: "a/b:1", Path: "/a/../b"},
		{Backend: "a/b:1", Path: "/a%2fb"},
		{Backend: "a/b:1", Path: "/%zz"},
		{Backend: "a/b:1", Path: "/a?b"},
		{Backend: "a/b:1", Cache: &table.AuthCache{TTL: time.Second}},
		{Backend: "a/b:1", Cache: &table.AuthCache{Headers: []string{"a"}}},
		{Backend: "a/b:1", Cache: &table.AuthCache{Key: "1 +", TTL: time.Second}},
		{Backend: "a/b:1", MaxBody: 1, Cache: &table.AuthCache{Headers: []string{"a"}, TTL: time.Second}},
	} {
		if _, err := s.Service(&c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// TestIntroduction: a service sees who asks as a backend does, and no client says that
// of itself.
func TestIntroduction(t *testing.T) {
	e := &envoy{answer: func(*authv3.CheckRequest) (*authv3.CheckResponse, error) { return allows(nil), nil }}
	s := newStage(t)
	s.endpoint(e.serve(t))
	c := table.ExternalAuth{GRPC: true, Headers: []string{"*"}}
	forged := []string{
		"X-Forwarded-For", "10.0.0.1", "x-forwarded-for", "10.0.0.2", "X_Forwarded_For", "10.0.0.3", "X-Forwarded-Proto", "http", "X-Forwarded_Host", "a", "X-Forwarded-Host", "b",
	}
	seen := func(sv *Service) (out string) {
		t.Helper()
		if r := sv.Authorize(request(forged...)); r.Outcome != auth.Accepted {
			t.Fatalf("%+v", r)
		}
		h := e.seen.Load().GetAttributes().GetRequest().GetHttp().GetHeaders()
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if name[0] == 'x' {
				out += name + "=" + h[name] + " "
			}
		}
		return out
	}
	const from = "x-forwarded-for=10.0.0.1, 10.0.0.2, 198.51.100.7 "
	if got := seen(s.service(t, c)); got != from+"x-forwarded-host=api.example.com x-forwarded-proto=https " {
		t.Error(got)
	}
	s.cfg.Trusted = func(peer netip.Addr) bool { return peer == netip.MustParseAddr("198.51.100.7") }
	if got := seen(s.service(t, c)); got != from+"x-forwarded-host=b x-forwarded-proto=http " {
		t.Error(got)
	}
	s.cfg.Trusted = func(netip.Addr) bool { return false }
	c.Headers = []string{"x-forwarded-for", "x_forwarded_for"}
	if got := seen(s.service(t, c)); got != from {
		t.Error(got)
	}

	// Nor does what was said of one client count for another.
	c.Cache = &table.AuthCache{Headers: []string{"x-forwarded-for"}, TTL: time.Minute}
	kept := s.service(t, c)
	for peer, calls := range map[string]int32{"198.51.100.8:1": 1, "198.51.100.9:1": 1} {
		e.calls.Store(0)
		for range 2 {
			x := request(forged...)
			x.Conn.Peer = netip.MustParseAddrPort(peer)
			kept.Authorize(x)
		}
		if n := e.calls.Load(); n != calls {
			t.Errorf("%s: %d calls", peer, n)
		}
	}
}

// TestClosedConnection: a service that has closed an idle connection is asked again,
// whatever the method of the request.
func TestClosedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // each connection answers once, and ends when it is asked again
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					_, _ = in.ReadByte()
				}
			}()
		}
	}()
	s := newStage(t)
	service := s.service(t, table.ExternalAuth{URL: "http://" + l.Addr().String()})
	for i, method := range []string{"GET", "GET", "POST", "POST", "DELETE"} {
		x := request()
		x.Request.Method = method
		if r := service.Authorize(x); r.Outcome != auth.Accepted {
			t.Errorf("%d %s: %+v", i, method, r)
		}
	}
}

// never is content that does not come.
type never chan struct{}

func (n never) Next() ([]byte, error) {
	<-n
	return nil, io.EOF
}

func (never) Continue() error { return nil }
func (never) Cancel()         {}

// TestOthers: what waits for one service, or for content that it is to see, keeps no
// other from being asked.
func TestOthers(t *testing.T) {
	hung := make(chan struct{})
	e := &envoy{answer: func(r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		if r.GetAttributes().GetContextExtensions()["hangs"] != "" {
			<-hung
		}
		return allows(nil), nil
	}}
	s := newStage(t)
	s.endpoint(e.serve(t))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer close(hung)
	kept := &table.AuthCache{Headers: []string{"x-n"}, TTL: time.Minute}
	slow := s.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"x-n"}, Context: []table.Header{{Name: "hangs", Value: "1"}}, Cache: kept, Timeout: 30 * time.Second})
	for i := range maxCalls {
		waiting.Go(func() { slow.Authorize(request("X-N", fmt.Sprint(i))) })
	}
	shows := s.service(t, table.ExternalAuth{GRPC: true, MaxBody: 1 << 20})
	for range maxBodies>>20 + 1 {
		x := with(request(), "", 1<<20)
		x.Request.Body = never(hung)
		waiting.Go(func() { shows.Authorize(x) })
	}
	for end := time.Now().Add(20 * time.Second); e.calls.Load() < maxCalls/2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	other := s.service(t, table.ExternalAuth{GRPC: true, Headers: []string{"x-n"}, Cache: kept, Timeout: 10 * time.Second})
	if r := other.Authorize(request("X-N", "1")); r.Outcome != auth.Accepted {
		t.Errorf("whose answers are kept: %+v", r)
	}
	if r := shows.Authorize(with(request(), "hello", 5)); r.Outcome != auth.Accepted {
		t.Errorf("content: %+v", r)
	}
	shows.bodies.Add(maxBodies / 2)
	if r := shows.Authorize(with(request(), "hello", 5)); r.Code != auth.CodeExternalBusy {
		t.Errorf("more content than one service is shown: %+v", r)
	}
	if r := s.service(t, table.ExternalAuth{GRPC: true, MaxBody: 1 << 10}).Authorize(with(request(), "hello", 5)); r.Outcome != auth.Accepted {
		t.Errorf("content for another: %+v", r)
	}
}

func TestOverload(t *testing.T) {
	hung := make(chan struct{})
	e := &envoy{answer: func(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
		<-hung
		return allows(nil), nil
	}}
	s := newStage(t)
	address := e.serve(t)
	s.endpoint(address)
	defer close(hung)
	s.bodies.Store(maxBodies - 3)
	service := s.service(t, table.ExternalAuth{GRPC: true, MaxBody: 10, Timeout: 50 * time.Millisecond})
	if r := service.Authorize(with(request(), "hello", 5)); r.Outcome != auth.Unavailable || r.Code != auth.CodeExternalBusy || e.calls.Load() != 0 {
		t.Errorf("more content than there is room for: %+v", r)
	}
	if n := s.bodies.Load(); n != maxBodies-3 {
		t.Errorf("%d bytes", n)
	}
}

// A kept answer is good for another caller only where the service does not see who it is.
func TestKeptByCaller(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		config table.ExternalAuth
		alike  bool
	}{
		{table.ExternalAuth{}, false},
		{table.ExternalAuth{GRPC: true, Headers: []string{"*"}}, false},
		{table.ExternalAuth{GRPC: true, Headers: []string{"authorization"}}, false},
		{table.ExternalAuth{GRPC: true, Headers: []string{"x-a"}}, true},
	} {
		c.config.Cache = &table.AuthCache{Headers: []string{"x-a"}, TTL: time.Minute}
		k := s.service(t, c.config).cache
		first, _ := k.key(request("Authorization", "alice", "X-A", "1"))
		if second, _ := k.key(request("Authorization", "bob", "X-A", "1")); (second == first) != c.alike {
			t.Errorf("%+v: %q and %q", c.config, first, second)
		}
	}
}

// A kept answer is good for another address only where the service is not told any.
func TestKeptByAddress(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		config table.ExternalAuth
		alike  bool
	}{
		{table.ExternalAuth{}, true}, {table.ExternalAuth{Forwarded: true}, false}, {table.ExternalAuth{GRPC: true}, false},
	} {
		c.config.Cache = &table.AuthCache{Headers: []string{"authorization"}, TTL: time.Minute}
		k := s.service(t, c.config).cache
		one, same, other := request(), request(), request()
		same.Conn.Peer = netip.MustParseAddrPort("198.51.100.7:5000")
		other.Request.ClientIP = netip.MustParseAddr("198.51.100.8")
		first, _ := k.key(one)
		if again, _ := k.key(same); again != first {
			t.Errorf("%+v: another port is another key", c.config)
		}
		if second, _ := k.key(other); (second == first) != c.alike {
			t.Errorf("%+v: %q and %q", c.config, first, second)
		}
	}
}
