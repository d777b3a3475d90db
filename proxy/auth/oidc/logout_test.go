package oidc

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// failing is a store whose writes fail as often as it says.
type failing struct {
	shelf
	writes int // that succeed before
}

func (f *failing) Set(ctx context.Context, k [32]byte, v []byte, keep time.Duration, when uint8) (bool, error) {
	if f.writes--; f.writes < 0 {
		return false, errors.New("the store is down")
	}
	return f.shelf.Set(ctx, k, v, keep, when)
}

// A logout token that could not be heeded counts when the provider sends it again;
// one that was does not end newer sessions.
func TestLogoutTokenAgain(t *testing.T) {
	for writes := range 3 {
		m := newMethod(t)
		store := &failing{shelf{}, 100}
		m.needs.Store = store
		claims := map[string]any{"sub": "ann", "sid": "1", "jti": "j", "iat": 1.0, "events": map[string]any{logoutEvent: map[string]any{}}}
		token := logIn(t, m, map[string]any{"sub": "ann", "sid": "1"})
		store.writes = writes
		first := m.endAll(claims)
		if (first == nil) != (writes == 2) {
			t.Errorf("%d writes: %v", writes, first)
		}
		store.writes = 100
		if err := m.endAll(claims); err != nil {
			t.Error(err)
		}
		asks(t, m, token, auth.Absent)
		newer := logIn(t, m, map[string]any{"sub": "ann", "sid": "1"})
		if err := m.endAll(claims); err != nil {
			t.Error(err)
		}
		m.needs.Cache.drop(ptr(m.seals.sessionID(newer)))
		asks(t, m, newer, auth.Accepted)
	}
}

// A logout ends the sessions of that sid, or of that user, at that client, and no others.
func TestLogoutEndsNoOthers(t *testing.T) {
	m := newMethod(t)
	other := alike(t, m, func(c *table.OIDC, _ *Needs) { c.ClientID = "other" })
	token := logIn(t, m, map[string]any{"sub": "ann", "sid": "1"})
	for i, end := range []struct {
		m      *Method
		claims map[string]any
		want   auth.Outcome
	}{
		{other, map[string]any{"sub": "ann", "sid": "1"}, auth.Accepted},
		{other, map[string]any{"sub": "ann"}, auth.Accepted},
		{m, map[string]any{"sid": "ann"}, auth.Accepted},
		{m, map[string]any{"sub": "1"}, auth.Accepted},
		{m, map[string]any{"sub": "ann", "sid": "2"}, auth.Accepted},
		{m, map[string]any{"sub": "ann"}, auth.Absent},
	} {
		end.claims["jti"] = string(rune('a' + i))
		if err := end.m.endAll(end.claims); err != nil {
			t.Fatal(err)
		}
		asks(t, m, token, end.want)
	}
}

// What is no logout token ends nobody's session, though the provider has signed it.
func TestLogoutTokens(t *testing.T) {
	type c = map[string]any
	event := c{logoutEvent: c{}}
	good := c{"sub": "ann", "sid": "1", "jti": "j", "iat": 1.0, "events": event}
	const form = "application/x-www-form-urlencoded"
	send := func(status int, contentType, content string, change c) {
		t.Helper()
		m := newMethod(t)
		token := logIn(t, m, c{"sub": "ann", "sid": "1"})
		claims := maps.Clone(good)
		maps.Copy(claims, change)
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		x := request("POST", "/backchannel", "content-type", contentType)
		x.Request.Body = &exchange.Buffered{Content: []byte(content + url.QueryEscape(jwt(t, claims)))}
		if !m.Serve(x) || x.Response.Status != status {
			t.Errorf("%s %s, %v: %d, want %d", contentType, content, change, x.Response.Status, status)
		}
		want := auth.Accepted
		if status == 200 {
			want = auth.Absent
		}
		asks(t, m, token, want)
	}
	send(200, form, "logout_token=", nil)
	send(200, form+"; charset=utf-8", "a=b&logout_token=", nil)
	send(200, form, "logout_token=", c{"sid": nil})
	send(200, form, "logout_token=", c{"sub": nil})
	send(400, form, "logout_token=", c{"sid": nil, "sub": ""})
	send(400, form, "logout_token=", c{"jti": nil})
	send(400, form, "logout_token=", c{"jti": 1})
	send(400, form, "logout_token=", c{"iat": nil})
	send(400, form, "logout_token=", c{"nonce": "n"})
	send(400, form, "logout_token=", c{"events": nil})
	send(400, form, "logout_token=", c{"events": c{"http://else": c{}}})
	send(400, form, "logout_token=", c{"events": c{logoutEvent: true}})
	send(400, form, "token=", nil)
	send(400, form, "logout_token=x&logout_token=", nil)
	send(400, form, "logout_token=a.!.", nil)
	send(400, "text/plain", "logout_token=", nil)

	m := newMethod(t)
	token := logIn(t, m, c{"sub": "ann", "sid": "1"})
	x := request("GET", "/backchannel?logout_token="+jwt(t, good), "content-type", form)
	if !m.Serve(x) || x.Response.Status != 405 {
		t.Errorf("%d", x.Response.Status)
	}
	asks(t, m, token, auth.Accepted)
}
