package jwt

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Whatever somebody has an issuer write into the claims, and however much more that takes once it is
// read, what is remembered of tokens stays small.
func TestCacheIsSmall(t *testing.T) {
	const places, each = 64, 24 << 10
	who := newIssuer(t)
	for name, pad := range map[string]string{
		"empty arrays":  "[" + strings.Repeat("[],", 840) + "0]",
		"empty objects": "[" + strings.Repeat("{},", 840) + "0]",
		"objects":       "[" + strings.Repeat(`{"":{}},`, 310) + "0]",
		"deep":          strings.Repeat(`{"":`, 420) + "0" + strings.Repeat("}", 420),
		"numbers":       "[" + strings.Repeat("1,", 1300) + "0]",
		"groups":        `["` + strings.Repeat(`abcdefghij","`, 200) + `"]`,
		"text":          `"` + strings.Repeat("x", 2600) + `"`,
	} {
		m := method(t, who.keyring(), nil)
		before := inUse()
		longest := 0
		for i := range 2 * places {
			token := mint(t, "RS256", who.rsa, map[string]any{"kid": "r"}, claims(t, map[string]any{"pad": json.RawMessage(pad), "n": i}))
			longest = max(longest, len(token))
			x := &exchange.Exchange{Start: time.Unix(now, 0)}
			x.Request.Header.Add("Token", token)
			if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
				t.Fatalf("%s: %+v", name, r)
			}
		}
		took := (inUse() - before) / places
		t.Logf("%s: %d bytes of a token take %d", name, longest, took)
		if kept := name == "text" || name == "groups"; took > each || kept != (took > 2<<10) {
			t.Errorf("%s: %d bytes are kept of a token", name, took)
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
