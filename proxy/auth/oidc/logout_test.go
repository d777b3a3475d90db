package oidc

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
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
