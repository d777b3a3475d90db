package oidc

import (
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// What other tabs have under way when a tab ends its login carries the cookie of
// the session before. That goes on for a moment, for the same user.
func TestHandover(t *testing.T) {
	for _, user := range []string{"ann", "bob"} {
		m := newMethod(t)
		now := time.Now()
		m.needs.Now = func() time.Time { return now }
		old := begun(t, m, record{IDToken: jwt(t, map[string]any{"sub": "ann"}), Refresh: "r", Expires: now.Unix() + 60})
		asks(t, m, old, auth.Accepted)
		x := request("GET", "/oauth2/callback", "cookie", m.names.Session+"="+old)
		m.begin(x, &record{IDToken: jwt(t, map[string]any{"sub": user})}, "/")
		if user == "bob" {
			asks(t, m, old, auth.Absent)
			continue
		}
		asks(t, m, old, auth.Accepted)
		now = now.Add(5 * time.Second)
		asks(t, m, old, auth.Accepted)
		now = now.Add(handover - 5*time.Second)
		asks(t, m, old, auth.Absent)
	}
}
