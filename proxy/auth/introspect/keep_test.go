package introspect

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Whatever somebody has the server say of tokens, and however much more that takes once it is
// read, what is kept of all answers stays within its bound.
func TestKeptIsSmall(t *testing.T) {
	const room, tokens = 4 << 20, 400
	for name, pad := range map[string]string{
		"arrays":  "[" + strings.Repeat("[],", 300) + "0]",
		"objects": "[" + strings.Repeat(`{"a":1},`, 100) + "0]",
		"deep":    strings.Repeat(`{"":`, 100) + "0" + strings.Repeat("}", 100),
		"numbers": "[" + strings.Repeat("1.5,", 600) + "0]",
		"groups":  `["` + strings.Repeat(`abcdefghij","`, 600) + `"]`,
		"text":    `"` + strings.Repeat("x", 50_000) + `"`,
	} {
		s := newStage(t, nil)
		o := NewOwner(Config{Bytes: room})
		t.Cleanup(func() { o.Close(); o.cfg.Transport.(*http.Transport).CloseIdleConnections() })
		server, err := o.Server(&table.Introspection{URL: s.URL, ClientID: "a", ClientSecret: []byte("b"), TTL: 1 << 40})
		if err != nil {
			t.Fatal(err)
		}
		s.Method = New(server, bearer{})
		s.says(`{"active":true,"sub":"ann","pad":` + pad + `}`)
		before := inUse()
		for i := range tokens {
			s.is(t, fmt.Sprint("t", i), "ok")
		}
		took := inUse() - before
		asked := s.asked.Load()
		s.is(t, fmt.Sprint("t", tokens-1), "ok")
		t.Logf("%s: %d bytes, of which %d answers take %d", name, len(pad), tokens, took)
		if took > room*5/4 || asked != tokens || s.asked.Load() != asked {
			t.Errorf("%s: %d bytes are kept; the last answer: asked %d times, then %d", name, took, asked, s.asked.Load())
		}
		runtime.KeepAlive(s)
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
