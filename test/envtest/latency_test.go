//go:build envtest

package envtest

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// For more: go test -tags envtest -run Latency -v ./test/envtest -args -routes=10,500,5000 -samples=500
var (
	routes  = flag.String("routes", "10,500", "TestLatency: how many routes there are already, a number for each run")
	samples = flag.Int("samples", 50, "TestLatency: routes applied in each run")
)

// TestLatency measures the way from a route applied to its first correct answer, and what is written for it.
func TestLatency(t *testing.T) {
	w := NewWorld(t, base)
	w.Run("--log-level=info").WaitReady()
	w.Expect("/none", http.StatusNotFound)
	there := 0
	for _, text := range strings.Split(*routes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < there {
			t.Fatalf("-routes=%s: give ascending numbers", *routes)
		}
		t.Run(text, func(t *testing.T) {
			started := time.Now()
			w.fill(there, n)
			there = n
			w.Expect(fmt.Sprintf("/old/%d", n-1), http.StatusOK)
			w.settled(n)
			t.Logf("%d routes are there, with their statuses, after %v and %d writes", n, time.Since(started).Round(time.Millisecond), len(writes(t, w.Namespace)))

			c := &asker{t: t, addr: fmt.Sprintf("127.0.0.1:%d", w.Port)}
			spent := len(writes(t, w.Namespace))
			var took, applying []time.Duration
			for i := range *samples {
				path := fmt.Sprintf("/new/%d/%d", n, i)
				start := time.Now()
				w.Apply(routeTo("new", path))
				applying = append(applying, time.Since(start))
				c.until(path)
				took = append(took, time.Since(start))
				time.Sleep(time.Duration(i%10) * time.Millisecond) // not in step with anything
			}
			Status(w, "new", &gatewayv1.HTTPRoute{}, routeWell)
			t.Logf("%d routes, %d samples: applied to first answer p50 %v p99 %v; of that the API server's answer to apply p50 %v p99 %v; %d status writes",
				n, *samples, percentile(took, 50), percentile(took, 99), percentile(applying, 50), percentile(applying, 99), len(writes(t, w.Namespace))-spent)
			if limit := 2 * time.Second; percentile(took, 50) > limit {
				t.Errorf("half of the changes took longer than %v", limit)
			}
		})
	}
}

// fill creates the routes from /old/from on, a few at a time.
func (w *World) fill(from, to int) {
	w.t.Helper()
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := from + part; i < to; i += 8 {
				w.Apply(routeTo(fmt.Sprintf("old-%d", i), fmt.Sprintf("/old/%d", i)))
			}
		})
	}
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// settled waits until the Gateway counts n routes and the last of them has its status.
func (w *World) settled(n int) {
	w.t.Helper()
	limit := 20*time.Second + time.Duration(n)*40*time.Millisecond
	eventually(w.t, limit, func() string {
		done := 0
		for i := range n {
			if len(Get(w, fmt.Sprintf("old-%d", i), &gatewayv1.HTTPRoute{}).Status.Parents) == 0 {
				time.Sleep(200 * time.Millisecond)
				return fmt.Sprintf("%d of %d routes have their status", done, n)
			}
			done++
		}
		return ""
	})
}

func percentile(list []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(10 * time.Microsecond)
}

// asker asks on one connection.
type asker struct {
	t    *testing.T
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// until asks for a path until the backend answers.
func (a *asker) until(path string) {
	a.t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(500 * time.Microsecond) {
		if a.once(path) == http.StatusOK {
			return
		}
	}
	a.t.Fatalf("%s was not served within 20 s", path)
}

func (a *asker) once(path string) int {
	a.t.Helper()
	var err error
	if a.conn == nil {
		if a.conn, err = net.Dial("tcp", a.addr); err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { _ = a.conn.Close() })
		a.in = bufio.NewReader(a.conn)
	}
	if _, err = fmt.Fprintf(a.conn, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", path); err != nil {
		a.t.Fatal(err)
	}
	response, err := http.ReadResponse(a.in, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.in.Discard(int(response.ContentLength)); err != nil {
		a.t.Fatal(err)
	}
	return response.StatusCode
}
