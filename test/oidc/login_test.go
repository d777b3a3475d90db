package oidc

import (
	"testing"
)

// until waits for the provider's metadata.
func until(t *testing.T, b *Browser) Page {
	t.Helper()
	for range 200 {
		if page := b.Get("http://shop.example/app/orders/7?tab=2&x=%2F"); page.Status == 200 {
			return page
		}
		sleep()
	}
	t.Fatal("the login page does not come")
	return Page{}
}

func TestLogin(t *testing.T) {
	p := NewProvider(t, callback)
	w := start(t, p, "")
	b := NewBrowser(t, w)
	form := until(t, b)
	page := b.LogIn(form)
	if page.Status != 200 || page.User() != subject || page.Seen().Path != "/app/orders/7?tab=2&x=%2F" {
		t.Fatalf("%d %v %s", page.Status, b.Hops, page.Body)
	}
}
