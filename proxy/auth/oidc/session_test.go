package oidc

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// Whatever somebody has the provider write into claims, and however much more that takes once it
// is read, what is remembered of sessions stays small.
func TestCacheIsSmall(t *testing.T) {
	const places, each = 64, 80 << 10
	for name, pad := range map[string]string{
		"objects": "[" + strings.Repeat(`{"a":1},`, 3000) + "0]",
		"arrays":  "[" + strings.Repeat("[],", 6000) + "0]",
		"groups":  `["` + strings.Repeat(`abcdefghij","`, 300) + `"]`,
	} {
		m := newMethod(t)
		m.needs.Store = shelf{}
		before := inUse()
		for range places {
			asks(t, m, begun(t, m, record{IDToken: jwt(t, map[string]any{"sub": "ann"}), Info: []byte(`{"sub":"ann","pad":` + pad + `}`)}), auth.Accepted)
		}
		m.needs.Store = shelf{} // which is not what is measured
		took := (inUse() - before) / places
		t.Logf("%s: %d bytes take %d", name, len(pad), took)
		if took > each || (name == "groups") != (took > 2<<10) {
			t.Errorf("%s: %d bytes are kept of a session", name, took)
		}
		runtime.KeepAlive(m)
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

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
