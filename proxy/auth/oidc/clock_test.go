package oidc

import (
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// A clock that is set back lengthens nothing that is kept, and none that was ahead
// leaves marks that end later sessions.
func TestClockGoesBack(t *testing.T) {
	m := newMethod(t)
	now := time.Now()
	m.needs.Now = func() time.Time { return now }
	is := func(what, token string, want auth.Outcome) {
		t.Helper()
		x := request("GET", "/", "cookie", m.names.Session+"="+token)
		if r := m.Authenticate(x, &x.Principal); r.Outcome != want {
			t.Errorf("%s: %+v, want outcome %v", what, r, want)
		}
	}
	token := logIn(t, m, map[string]any{"sub": "ann"})
	is("after the login", token, auth.Accepted)
	now = now.Add(-3 * time.Hour)
	is("the clock is set back", token, auth.Accepted)
	// Another replica ends the session: it is over within a second, not in three hours.
	if err := m.needs.Store.Delete(t.Context(), m.seals.sessionID(token)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(fresh)
	is("another replica ended it", token, auth.Absent)

	// Everybody is logged out while the clock is ahead; who logs in once it is right again is in.
	now = now.Add(5 * time.Hour)
	ahead := logIn(t, m, map[string]any{"sub": "ann"})
	if err := m.revoke("sub ", "ann", random(8)); err != nil {
		t.Fatal(err)
	}
	is("logged out", ahead, auth.Absent)
	now = now.Add(-5 * time.Hour)
	again := logIn(t, m, map[string]any{"sub": "ann"})
	is("logged in again", again, auth.Accepted)
	now = now.Add(fresh)
	is("a second later", again, auth.Accepted)
	is("the session from before", ahead, auth.Absent)
	if err := m.revoke("sub ", "ann", random(8)); err != nil {
		t.Fatal(err)
	}
	is("logged out again", again, auth.Absent)

	// A session that began while the clock was ahead is ended by a later logout all the same.
	now = now.Add(time.Hour)
	ahead = logIn(t, m, map[string]any{"sub": "ann", "sid": "1"})
	now = now.Add(-time.Hour)
	is("the clock is set back again", ahead, auth.Accepted)
	if err := m.revoke("sid ", "1", random(8)); err != nil {
		t.Fatal(err)
	}
	is("logged out by sid", ahead, auth.Absent)
}

// A refresh that was put off while the clock was ahead is not put off for longer.
func TestRefreshIsNotPutOff(t *testing.T) {
	s := &session{}
	s.again.Store(1_800_000_010)
	for at, want := range map[int64]bool{1_800_000_000: true, 1_800_000_009: true, 1_800_000_010: false, 1_800_000_000 - 3600: false} {
		if got := s.putOff(at); got != want {
			t.Errorf("at %d: %v", at, got)
		}
	}
}
