package metadata

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Whatever a service answers, and however much more that takes once it is read, what is kept of
// all answers stays within its bound.
func TestKeptIsSmall(t *testing.T) {
	const room, callers = 4 << 20, 400
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]string{
		"arrays":  "[" + strings.Repeat("[],", 300) + "0]",
		"objects": "[" + strings.Repeat(`{"a":1},`, 100) + "0]",
		"deep":    strings.Repeat(`{"":`, 30) + "0" + strings.Repeat("}", 30),
		"numbers": "[" + strings.Repeat("1.5,", 600) + "0]",
		"members": "{" + members(400) + `"":0}`,
		"groups":  `["` + strings.Repeat(`abcdefghij","`, 600) + `"]`,
		"text":    `"` + strings.Repeat("x", 50_000) + `"`,
	} {
		service, clock := newService(t), &clock{}
		transport := &http.Transport{}
		o := NewOwner(Config{Env: env, Now: clock.now, Transport: transport, Bytes: room})
		t.Cleanup(func() { o.Close(); transport.CloseIdleConnections() })
		about := &table.MetadataHTTP{URL: service.URL, Query: []table.ClaimExpr{{Name: "who", CEL: "auth.subject"}}}
		s, err := o.Step(&table.MetadataStep{Name: "account", HTTP: about, TTL: time.Hour, Timeout: 10 * time.Second}, "")
		if err != nil {
			t.Fatal(err)
		}
		service.says(200, answer)
		before := inUse()
		for i := range callers {
			is(t, s, caller(fmt.Sprint("u", i), ""), auth.Accepted, "")
		}
		took := inUse() - before
		asked := service.asked.Load()
		is(t, s, caller(fmt.Sprint("u", callers-1), ""), auth.Accepted, "")
		t.Logf("%s: %d bytes, of which %d answers take %d", name, len(answer), callers, took)
		if took > room*5/4 || asked != callers || service.asked.Load() != asked {
			t.Errorf("%s: %d bytes are kept; the last answer: asked %d times, then %d", name, took, asked, service.asked.Load())
		}
		runtime.KeepAlive(s)
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":1,`, i)
	}
	return b.String()
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
