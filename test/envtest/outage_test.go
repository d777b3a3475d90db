//go:build envtest

package envtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestOutage takes the API server away: before the start, and later for some seconds in which things change.
func TestOutage(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, base, routeTo("stays", "/stays"), routeTo("moves", "/from"), routeTo("goes", "/goes"))
	r := newRelay(t, w.server)
	w.server = r.addr
	g := w.Run("--addresses", "192.0.2.10,gw.example.com")
	g.WaitLog(10*time.Second, "the API server cannot be used yet")
	if status, _ := g.Ready(); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d before there is a table, want 503", status)
	}
	if status, _, _ := ask(fresh, "http://"+g.admin+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz says %d while it waits, want 200", status)
	}
	waits := w.Run() // one that is told to end while it waits
	waits.WaitLog(10*time.Second, "the API server cannot be used yet")
	waits.Stop()
	r.Mend()
	g.WaitReady()
	w.Expect("/goes", http.StatusOK)
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 3))

	r.Cut()
	w.Apply(routeTo("moves", "/to"), routeTo("comes", "/comes"))
	w.Delete(routeTo("goes", "/goes"))
	throughout(t, 5*time.Second, func() string {
		for _, path := range []string{"/stays", "/from", "/goes"} {
			if status, _, text := ask(fresh, w.URL(path)); status != http.StatusOK {
				return fmt.Sprintf("%s is answered %d %s by the last table", path, status, text)
			}
		}
		if status, text := g.Ready(); status != http.StatusOK {
			return fmt.Sprintf("/readyz says %d %s", status, text)
		}
		return ""
	})
	r.Mend()
	back := time.Now()
	eventually(t, 45*time.Second, func() string {
		for path, want := range map[string]int{"/stays": 200, "/from": 404, "/goes": 404, "/to": 200, "/comes": 200} {
			if status, _, _ := ask(fresh, w.URL(path)); status != want {
				return fmt.Sprintf("%s is answered %d, want %d", path, status, want)
			}
		}
		return ""
	})
	t.Logf("caught up %v after the API server came back", time.Since(back).Round(time.Millisecond))
	Status(w, "moves", &gatewayv1.HTTPRoute{}, routeWell)
	Status(w, "comes", &gatewayv1.HTTPRoute{}, routeWell)
	if lines := strings.Count(g.Log(), "level=ERROR"); lines > 100 {
		t.Errorf("an outage of 5 s made %d lines of errors", lines)
	}
}
