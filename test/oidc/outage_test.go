package oidc

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// other demands that routes without the login are served as ever.
func other(t *testing.T, b *Browser) {
	t.Helper()
	began := time.Now()
	if page := b.Get("http://open.example/"); page.Status != 200 || time.Since(began) > time.Second {
		t.Errorf("another route: %d after %v", page.Status, time.Since(began))
	}
}

func broken(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "down", http.StatusBadGateway) }

func TestProviderDownAtStart(t *testing.T) {
	p := NewProvider(t, callback)
	p.Fault(broken)
	b := NewBrowser(t, start(t, p, ""))
	for range 3 {
		page := b.Get(app)
		if after, _ := strconv.Atoi(page.Header.Get("Retry-After")); page.Status != 503 || page.Code() != "oidc_provider_unavailable" || after < 1 {
			t.Fatalf("%d %s %v", page.Status, page.Code(), page.Header)
		}
		other(t, b)
	}
	if page := b.Fetch("GET", app); page.Status != 401 {
		t.Errorf("fetch: %d", page.Status)
	}
	if page := b.Get("http://shop.example/logout"); page.Status != 200 {
		t.Errorf("logout: %d", page.Status)
	}
	p.Fault(nil)
	in(t, b)
}

// Sessions outlive the provider, and so does what is known of it.
func TestProviderDownLater(t *testing.T) {
	p := NewProvider(t, callback)
	var now clock
	w := start(t, p, "", now.set)
	b, late := NewBrowser(t, w), NewBrowser(t, w)
	in(t, b)
	form := ready(t, late)
	p.Fault(broken)
	for range 10 {
		now.pass(2 * time.Minute)
		still(t, b, "while the provider is down")
		other(t, b)
	}
	out(t, NewBrowser(t, w), "a new one, which the browser will try itself")
	p.Fault(nil)
	now.ahead.Store(0)
	if page := late.LogIn(form); page.User() != subject {
		t.Errorf("a login begun before: %d %s", page.Status, page.Code())
	}
}

// Faults of the token endpoint in the middle of a login.
func TestTokenEndpoint(t *testing.T) {
	answer := func(status int, kind, content string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(content))
		}
	}
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  string
	}{
		"502":            {broken, "503 oidc_provider_unavailable"},
		"HTML":           {answer(200, "text/html", "<h1>Welcome</h1>"), "503 oidc_provider_unavailable"},
		"no JSON":        {answer(200, "application/json", "{"), "503 oidc_provider_unavailable"},
		"huge":           {answer(200, "application/json", `{"access_token":"`+strings.Repeat("x", 2<<20)+`"}`), "503 oidc_provider_unavailable"},
		"no ID token":    {answer(200, "application/json", `{"access_token":"a","token_type":"Bearer"}`), "502 oidc_token_invalid"},
		"a bad ID token": {answer(200, "application/json", `{"access_token":"a","token_type":"Bearer","id_token":"a.b.c"}`), "502 oidc_token_invalid"},
		"wrong secret":   {answer(401, "application/json", `{"error":"invalid_client"}`), "503 oidc_client_refused"},
		"refused code":   {answer(400, "application/json", `{"error":"invalid_grant"}`), "400 oidc_code_refused"},
		"redirect": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "http://evil.example/", http.StatusTemporaryRedirect)
		}, "503 oidc_provider_unavailable"},
		"slow": {func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(7 * time.Second):
			}
		}, "503 oidc_provider_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewProvider(t, callback)
			w := start(t, p, "")
			b := NewBrowser(t, w)
			form := ready(t, b)
			p.Fault(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/oauth/token" {
					c.fault(rw, r)
					return
				}
				p.op.ServeHTTP(rw, r)
			})
			began := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20 {
					other(t, NewBrowser(t, w))
					time.Sleep(10 * time.Millisecond)
				}
			}()
			page := b.LogIn(form)
			<-done
			if got := strconv.Itoa(page.Status) + " " + page.Code(); got != c.want || page.Status == 503 && page.Header.Get("Retry-After") == "" {
				t.Errorf("%s (%v), want %s", got, page.Header, c.want)
			}
			if time.Since(began) > 8*time.Second {
				t.Errorf("it took %v", time.Since(began))
			}
			p.Fault(nil)
			until(t, "a login after the fault", func() bool {
				page := b.Get(app)
				if page.URL.Host != "shop.example" {
					page = b.LogIn(page)
				}
				return page.User() == subject
			})
		})
	}
}

// A metadata document that is rubbish changes nothing, and one that leads to
// other endpoints is believed when it comes from the issuer.
func TestRubbishMetadata(t *testing.T) {
	p := NewProvider(t, callback)
	for _, document := range []string{
		"", "null", "[]", `{"issuer":"` + p.URL() + `"}`,
		`{"issuer":"https://evil.example","authorization_endpoint":"https://evil.example/","token_endpoint":"https://evil.example/"}`,
		`{"issuer":"` + p.URL() + `","jwks_uri":"` + p.URL() + `/keys","authorization_endpoint":"javascript:alert(1)","token_endpoint":"` + p.URL() + `/t"}`,
	} {
		p.Fault(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.well-known/openid-configuration" {
				_, _ = rw.Write([]byte(document))
				return
			}
			p.op.ServeHTTP(rw, r)
		})
		b := NewBrowser(t, start(t, p, ""))
		until(t, "the metadata has been asked for", func() bool { return p.Calls("/.well-known/openid-configuration") > 0 })
		for range 5 {
			time.Sleep(20 * time.Millisecond)
			if page := b.Get(app); page.Status != 503 || page.Code() != "oidc_provider_unavailable" {
				t.Fatalf("%q: %d %s", document, page.Status, page.Code())
			}
		}
		other(t, b)
	}
}

// A key the provider has begun to sign with a moment ago is waited for; one that
// is not the provider's is never taken.
func TestNewKey(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	b := NewBrowser(t, w)
	form := ready(t, b)
	stranger := NewProvider(t, callback).LogoutToken(func(c map[string]any) { c["iss"], c["sub"] = p.URL(), subject })
	p.users.Rotate()
	if page := b.LogIn(form); page.User() != subject {
		t.Errorf("signed with the new key: %d %s", page.Status, page.Code())
	}
	until(t, "a stranger's key is known as such", func() bool {
		page := NewBrowser(t, w).Post("http://shop.example/backchannel", url.Values{"logout_token": {stranger}})
		return page.Status == 400
	})
}
