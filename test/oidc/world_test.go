package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// callback is where logins come back to at the host of the tests.
const callback = "http://shop.example/oauth2/callback"

// start is a gateway with a route /app of shop.example that p guards, and one of
// open.example that nothing does. more goes into the method.
func start(t testing.TB, p *Provider, more string, change ...func(*proxy.Options)) *feature.World {
	t.Helper()
	return feature.Start(t, feature.Base+secret("client", "client-secret", clientSecret)+
		route("shop", "shop.example", "/app")+route("open", "open.example", "/")+policy(p, more), change...)
}

func route(name, host, prefix string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [%s]
  rules: [{matches: [{path: {type: PathPrefix, value: %s}}], backendRefs: [{name: api, port: 80}]}]
---
`, name, host, prefix)
}

func secret(name, key, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: shop}\nstringData: {%s: %q}\n---\n", name, key, value)
}

func policy(p *Provider, more string) string {
	return fmt.Sprintf(`
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: staff, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  rules:
    authentication:
      staff:
        oidc:
          issuer: %s
          clientID: %s
          clientSecretRef: {name: client}
          logoutPath: /logout
          backchannelLogoutPath: /backchannel
          scopes: [profile, email, offline_access]
          %s
    response: {headers: {x-user: {cel: auth.subject}}}
---
`, p.URL(), clientID, more)
}

// Browser follows redirects and keeps cookies, as a person's does.
type Browser struct {
	t      testing.TB
	client *http.Client
	Hops   []string // URLs asked for, the last included
}

// NewBrowser makes one that finds *.example at the gateways, in turn.
func NewBrowser(t testing.TB, worlds ...*feature.World) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t}
	var turn atomic.Int64
	var tabs sync.Mutex // copies of b are its tabs, and may be used at once
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); strings.HasSuffix(host, ".example") {
			address = worlds[int(turn.Add(1)-1)%len(worlds)].Addr("")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	b.client = &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		tabs.Lock()
		defer tabs.Unlock()
		b.Hops = append(b.Hops, r.URL.String())
		if len(via) > 20 {
			return fmt.Errorf("it loops: %v", b.Hops)
		}
		r.Header.Set("Accept", "text/html")
		return nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return b
}

// Page is what a browser got in the end.
type Page struct {
	Status int
	Header http.Header
	Body   string
	URL    *url.URL
}

// Seen is what an echoing backend saw.
func (p Page) Seen() (s feature.Seen) {
	_ = json.Unmarshal([]byte(p.Body), &s)
	return s
}

// User is who the backend was told calls.
func (p Page) User() string { return strings.Join(p.Seen().Header["X-User"], ",") }

// Problem is the code of an answer of the gateway's own.
func (p Page) Code() string {
	var problem struct{ Code string }
	if json.Unmarshal([]byte(p.Body), &problem) == nil {
		return problem.Code
	}
	_, after, _ := strings.Cut(p.Body, "<small>")
	code, _, _ := strings.Cut(after, " ")
	return code
}

// Get navigates.
func (b *Browser) Get(where string, header ...string) Page {
	return b.do(http.MethodGet, where, nil, append([]string{"Accept", "text/html"}, header...)...)
}

// Fetch asks as a page's script does.
func (b *Browser) Fetch(method, where string) Page {
	return b.do(method, where, nil, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "*/*")
}

// Post sends a form.
func (b *Browser) Post(where string, form url.Values) Page {
	return b.do(http.MethodPost, where, form, "Content-Type", "application/x-www-form-urlencoded")
}

func (b *Browser) do(method, where string, form url.Values, header ...string) Page {
	b.t.Helper()
	b.Hops = []string{where}
	r, err := http.NewRequest(method, where, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form == nil {
		r.Body = nil
		r.ContentLength = 0
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return Page{answer.StatusCode, answer.Header, string(body), answer.Request.URL}
}

// Stay makes it follow redirects no longer, or again.
func (b *Browser) Stay(f func()) {
	follow := b.client.CheckRedirect
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.client.CheckRedirect = follow }()
	f()
}

// LogIn fills in the provider's form, on which page is.
func (b *Browser) LogIn(page Page) Page {
	b.t.Helper()
	return b.LogInAs(page, user)
}

// LogInAs is LogIn as somebody.
func (b *Browser) LogInAs(page Page, name string) Page {
	b.t.Helper()
	_, after, ok := strings.Cut(page.Body, `name="id" value="`)
	if !ok {
		b.t.Fatalf("no login form: %d %s\n%s", page.Status, page.URL, page.Body)
	}
	id, _, _ := strings.Cut(after, `"`)
	return b.Post(page.URL.ResolveReference(&url.URL{Path: "/login/username"}).String(), url.Values{"id": {id}, "username": {name}, "password": {password}})
}

// Cookies are those it would send to where.
func (b *Browser) Cookies(where string) (out []string) {
	u, err := url.Parse(where)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		out = append(out, c.Name)
	}
	return out
}
