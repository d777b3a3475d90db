package oidc

import (
	"net/http"
	"strings"
	"testing"
)

// With userInfo the provider is asked about the user too, and a login without an
// answer to that is none.
func TestUserInfo(t *testing.T) {
	p := NewProvider(t, callback)
	b := NewBrowser(t, start(t, p, "userInfo: true"))
	page := in(t, b)
	if page.User() != subject || p.Calls("/userinfo") != 1 {
		t.Errorf("%s after %d calls", page.User(), p.Calls("/userinfo"))
	}
	still(t, b, "with what the provider said")
	p.Fault(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/userinfo" {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		p.op.ServeHTTP(rw, r)
	})
	other := NewBrowser(t, start(t, p, "userInfo: true"))
	if page := other.LogIn(ready(t, other)); page.Status != 503 || !strings.Contains(page.Body, "oidc_provider_unavailable") {
		t.Errorf("without an answer: %d %s", page.Status, page.Body)
	}
	still(t, b, "while the endpoint is down")
}
