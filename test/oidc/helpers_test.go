package oidc

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// app is what the tests ask for.
const app = "http://shop.example/app/orders/7?tab=2&x=%2F"

// until asks until answer is as wanted.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(15 * time.Second); time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("not within 15 s: ", what)
}

// ready waits until the gateway knows the provider, and returns its login page.
func ready(t testing.TB, b *Browser) (form Page) {
	t.Helper()
	until(t, "a login page", func() bool { form = b.Get(app); return form.Status == 200 })
	return form
}

// in logs a browser in and demands that it works.
func in(t testing.TB, b *Browser) Page {
	t.Helper()
	page := b.LogIn(ready(t, b))
	if page.Status != 200 || page.User() != subject || page.URL.String() != app {
		t.Fatalf("%d %s %s", page.Status, page.Code(), page.URL)
	}
	return page
}

// out demands that the browser has no session: it is sent to the login.
func out(t testing.TB, b *Browser, why string) {
	t.Helper()
	b.Stay(func() {
		if page := b.Get(app); page.Status != 303 || page.Header.Get("Location") == "" {
			t.Fatalf("%s: %d %s", why, page.Status, page.Body)
		}
	})
}

// still demands that the browser has a session.
func still(t testing.TB, b *Browser, why string) {
	t.Helper()
	if page := b.Get(app); page.Status != 200 || page.User() != subject {
		t.Fatalf("%s: %d %s", why, page.Status, page.Body)
	}
}

// clock is one that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) set(o *proxy.Options) {
	o.Now = func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }
}

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }
