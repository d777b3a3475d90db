//go:build envtest

package envtest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestStatusOfAnother has somebody else write the statuses that Gatehouse wrote.
func TestStatusOfAnother(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, base, routeTo("r", "/a"))
	w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1))
	Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell)
	for range 2 {
		Change(w, "r", &gatewayv1.HTTPRoute{}, func(r *gatewayv1.HTTPRoute) { r.Status.Parents = []gatewayv1.RouteParentStatus{} }, w.status)
		Change(w, "edge", &gatewayv1.Gateway{}, func(g *gatewayv1.Gateway) { g.Status.Conditions[0].Reason = "Edited" }, w.status)
		Status(w, "r", &gatewayv1.HTTPRoute{}, routeWell)
		Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1))
	}
	// What was mended stays as it is: nobody writes without end.
	version := Get(w, "r", &gatewayv1.HTTPRoute{}).ResourceVersion
	time.Sleep(5 * time.Second)
	if now := Get(w, "r", &gatewayv1.HTTPRoute{}).ResourceVersion; now != version {
		t.Errorf("the route is of version %s, and was of %s", now, version)
	}
}

// TestTakenPort has another process have the port of a listener: of one that comes later, and of the only one of a Gatehouse that starts.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, base, routeTo("r", "/a"))
	first := w.Run("--addresses", "192.0.2.10,gw.example.com").WaitReady()
	w.Expect("/a", http.StatusOK)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.Port2))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w.Apply(strings.Replace(base, "port: PORT}", "port: PORT}\n  - {name: more, protocol: HTTP, port: PORT2}", 1))
	more := `
		listener more routes=1 kinds= gateway.networking.k8s.io/HTTPRoute gateway.networking.k8s.io/GRPCRoute
		Accepted=True Accepted @0
		Conflicted=False NoConflicts @0
		Programmed=%s @0
		ResolvedRefs=True ResolvedRefs @0`
	Status(w, "edge", &gatewayv1.Gateway{}, fmt.Sprintf(gatewayWell, 1)+fmt.Sprintf(more, "False PortUnavailable"))
	w.expectEvent("edge", "PortUnavailable")
	w.Expect("/a", http.StatusOK)
	if status, text := first.Ready(); status != http.StatusOK || text != "ok" {
		t.Errorf("/readyz says %d %s", status, text)
	}
	series := fmt.Sprintf("gatehouse_listener_bound{gateway=\"%s/edge\",listener=\"more\",transport=\"tcp\"} ", w.Namespace)
	if _, _, text := ask(fresh, "http://"+first.admin+"/metrics"); !strings.Contains(text, series+"0") {
		t.Errorf("no %s0 in the metrics", series)
	}
	if _, _, text := ask(fresh, "http://"+first.admin+"/readyz?verbose"); !strings.Contains(text, "/edge/more: cannot bind: ") {
		t.Errorf("/readyz?verbose says %s", text)
	}

	// A second Gatehouse has neither port while there is the first.
	second := w.Run()
	eventually(t, 30*time.Second, func() string {
		if status, text := second.Ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "listeners without their ports") {
			return fmt.Sprintf("/readyz of the second says %d %s", status, text)
		}
		return ""
	})
	first.Stop()
	_ = taken.Close()
	second.WaitReady()
	w.Expect("/a", http.StatusOK)
}
