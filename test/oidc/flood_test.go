package oidc

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Callbacks that somebody makes up, while the provider thinks about each for a while, take
// no places from other routes, and hold up nobody for long.
func TestCallbackFlood(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "", func(o *proxy.Options) { o.Clients.Requests = 512 })
	honest := NewBrowser(t, w)
	form := ready(t, honest)
	p.Fault(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			time.Sleep(2 * time.Second)
		}
		p.op.ServeHTTP(rw, r)
	})
	for _, states := range []int{1, 600} { // the callback of one login, and one of each
		var made []*Browser
		var where []string
		for range states {
			b := NewBrowser(t, w)
			b.Stay(func() {
				began, err := url.Parse(b.Get(app).Header.Get("Location"))
				if err != nil {
					t.Fatal(err)
				}
				where = append(where, callback+"?code=made-up&state="+url.QueryEscape(began.Query().Get("state")))
			})
			made = append(made, b)
		}
		var all sync.WaitGroup
		for i := range 600 {
			b, at := made[i%states], where[i%states]
			all.Go(func() {
				r, err := http.NewRequest(http.MethodGet, at, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if answer, err := b.client.Transport.RoundTrip(cookies(b, r)); err == nil {
					_ = answer.Body.Close()
				}
			})
		}
		for range 20 {
			time.Sleep(50 * time.Millisecond)
			other(t, NewBrowser(t, w))
		}
		all.Wait()
	}
	p.Fault(nil)
	if page := honest.LogIn(form); page.User() != subject {
		t.Errorf("a login begun before: %d %s", page.Status, page.Code())
	}
}

// cookies gives r those of b.
func cookies(b *Browser, r *http.Request) *http.Request {
	for _, c := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// Logout tokens of keys that nobody knows, which are waited for, take no places from other
// routes either.
func TestLogoutFlood(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "", func(o *proxy.Options) { o.Clients.Requests = 512 })
	b := NewBrowser(t, w)
	in(t, b)
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	_, rest, _ := strings.Cut(p.LogoutToken(func(map[string]any) {}), ".")
	var all sync.WaitGroup
	for i := range 600 {
		token := part(fmt.Sprintf(`{"alg":"RS256","typ":"logout+jwt","kid":"k%d"}`, i)) + "." + rest
		all.Go(func() {
			content := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
			r, err := http.NewRequest(http.MethodPost, "http://shop.example/backchannel", content)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if answer, err := b.client.Transport.RoundTrip(r); err == nil {
				_ = answer.Body.Close()
			}
		})
	}
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		other(t, NewBrowser(t, w))
	}
	all.Wait()
	still(t, b, "after the flood")
}
