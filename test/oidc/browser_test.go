//go:build browser

package oidc

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// chromium starts a real browser. It finds shop.example at the gateway.
func chromium(t *testing.T, gateway string) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no browser: apt-get install chromium")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("host-resolver-rules", "MAP shop.example "+gateway),
	}
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
		"disable-sync", "disable-dev-shm-usage",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	act(ctx, t, "the first page", chromedp.Navigate("about:blank"))
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func act(ctx context.Context, t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(ctx, chromedp.Location())
		html, _ := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		t.Fatalf("%s: %v\nat %s\n%s", what, err, where, html)
	}
}

// fill is a person at the provider's form.
func fill() chromedp.Action[chromedp.Void] {
	name, secret := chromedp.CSS("input[name=username]"), chromedp.CSS("input[name=password]")
	return chromedp.Steps(chromedp.WaitVisible(name), chromedp.SendKeys(name, user), chromedp.SendKeys(secret, password), chromedp.Submit(secret))
}

// asked waits until the provider's form is there.
func asked() chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS("input[name=username]"))
}

// landed waits until the browser is at where, and demands that the backend knows the user.
func landed(ctx context.Context, t *testing.T, where string) {
	t.Helper()
	var text string
	until(t, "at "+where, func() bool {
		at, err := chromedp.Run(ctx, chromedp.Location())
		if err != nil || at != where {
			return false
		}
		text, err = chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		return err == nil && strings.Contains(text, `"path"`)
	})
	if !strings.Contains(text, `"X-User":["`+subject+`"]`) {
		t.Fatalf("%s: %s", where, text)
	}
}

// status is what a script of the page gets.
func status(ctx context.Context, t *testing.T, where string) int {
	t.Helper()
	code, err := chromedp.Run(ctx, chromedp.Evaluate[int](fmt.Sprintf(`fetch(%q).then(r => r.status)`, where), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestBrowser(t *testing.T) {
	var now clock
	p := NewProvider(t) // the port is part of the redirect URI, and known only then
	w := start(t, p, "postLogoutRedirect: /app/bye\n          session: {idleTimeout: 30m}", now.set)
	_, port, _ := net.SplitHostPort(w.Addr(""))
	origin := "http://shop.example:" + port
	p.register(origin+"/oauth2/callback", origin+"/app/bye")
	until(t, "a login", func() (ok bool) {
		b := NewBrowser(t, w)
		b.Stay(func() { ok = b.Get(app).Status == 303 })
		return ok
	})
	ctx := chromium(t, "127.0.0.1")
	deep := origin + "/app/orders/7?tab=2&x=%2F"

	act(ctx, t, "login", chromedp.Navigate(deep), fill())
	landed(ctx, t, deep)
	got, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{deep}})
	})
	if err != nil {
		t.Fatal(err)
	}
	cookies := got.Cookies
	for _, c := range cookies {
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "shop.example" {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if len(cookies) != 2 {
		t.Errorf("%d cookies", len(cookies))
	}
	if code := status(ctx, t, "/app/data"); code != 200 {
		t.Errorf("fetch with a session: %d", code)
	}

	// It ends by itself: a script hears of it, and a page begins a login.
	now.pass(45 * time.Minute)
	if code := status(ctx, t, "/app/data"); code != 401 {
		t.Errorf("fetch past the idle timeout: %d", code)
	}
	act(ctx, t, "login again", chromedp.Reload(), fill())
	landed(ctx, t, deep)

	// Logging out, at the provider too.
	before := p.Calls("/end_session")
	act(ctx, t, "logout", chromedp.Navigate(origin+"/logout"))
	if p.Calls("/end_session") != before+1 {
		t.Error("the provider's session goes on")
	}
	act(ctx, t, "after the logout", asked()) // /app/bye asks for a login
	act(ctx, t, "and in again", fill())
	landed(ctx, t, origin+"/app/bye")
	act(ctx, t, "logout", chromedp.Navigate(origin+"/logout"))

	// Two tabs, finished in the other order.
	second, cancel := chromedp.NewContext(ctx)
	defer cancel()
	act(ctx, t, "first tab", chromedp.Navigate(origin+"/app/first"), asked())
	act(second, t, "second tab", chromedp.Navigate(origin+"/app/second"), fill())
	landed(second, t, origin+"/app/second")
	act(ctx, t, "first tab", fill())
	landed(ctx, t, origin+"/app/first")
	act(second, t, "second tab again", chromedp.Reload())
	landed(second, t, origin+"/app/second")
}
