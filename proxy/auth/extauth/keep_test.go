package extauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Whatever a service says, and whoever asks what: what is kept of all answers stays within its bound.
func TestKeptIsSmall(t *testing.T) {
	const room, callers = 4 << 20, 400
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status, content, lines int
		query                  string
		outcome                auth.Outcome
	}{
		"a page":       {status: 403, content: 60_000, outcome: auth.Rejected},
		"fields":       {status: 403, lines: 600, outcome: auth.Rejected},
		"edits":        {status: 200, lines: 90, outcome: auth.Accepted},
		"long queries": {status: 204, query: strings.Repeat("q", 7000), outcome: auth.Rejected},
	} {
		authz := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			for i := range c.lines {
				rw.Header().Set(fmt.Sprint("X-", i), strings.Repeat("v", 2+200*(c.status/200%2)))
			}
			rw.WriteHeader(c.status)
			if c.content > 0 {
				_, _ = rw.Write(make([]byte, c.content))
			}
		}))
		o := NewOwner(Config{Env: env, Bytes: room})
		s, err := o.Service(&table.ExternalAuth{
			URL: authz.URL, Timeout: 10 * time.Second, ToClient: []string{"*"}, ToBackend: []string{"*"},
			Cache: &table.AuthCache{Headers: []string{"authorization"}, TTL: time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(i int) {
			x := request()
			x.Request.RawQuery = fmt.Sprint(i, c.query)
			if r := s.Authorize(x); r.Outcome != c.outcome {
				t.Fatalf("%s: %+v", name, r)
			}
		}
		before := inUse()
		for i := range callers {
			ask(i)
		}
		took := inUse() - before
		t.Logf("%s: %d answers take %d", name, callers, took)
		if took > room*5/4 {
			t.Errorf("%s: %d bytes are kept", name, took)
		}
		authz.Close()
		o.Close()
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
