package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// TestShare changes an object after every build, each of which takes a while: the
// next must not begin before builds have had their share of the time, the first build
// apart, and none of the changes may be lost.
func TestShare(t *testing.T) {
	const builds, slow = 4, 10 * time.Millisecond
	type build struct{ began, ended time.Time }
	done := make(chan build, builds)
	p := New(Options{
		Graph: graph.Config{Controller: "gatehouse.dev/gateway"}, Quiet: time.Millisecond, Share: 20, Log: logr.Discard(),
		Outputs: Outputs{
			Swap: func(*table.Table) error {
				b := build{began: time.Now()}
				time.Sleep(slow)
				b.ended = time.Now()
				done <- b
				return nil
			},
			SetEndpoints: func(string, []table.Endpoint) {},
			Publish:      func(*graph.Graph, *attach.Policies) {},
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	p.Synced()
	var last build
	for i := range builds {
		b := <-done
		if rest := b.began.Sub(last.ended); i > 1 && rest < 4*slow {
			t.Errorf("build %d began %v after the one before, want at least %v", i, rest, 4*slow)
		}
		last = b
		description := strconv.Itoa(i)
		p.Upsert(&gatewayv1.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: "gatehouse.dev/gateway", Description: &description},
		})
	}
	<-done // the last change is not lost
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFinish changes a route and the addresses of its backend once the pipeline is
// told that no more tables are taken: the addresses alone are handed on.
func TestFinish(t *testing.T) {
	swapped, told := make(chan struct{}, 8), make(chan string, 8)
	p := New(Options{
		Graph: graph.Config{Controller: "gatehouse.dev/gateway"}, Quiet: time.Millisecond, Log: logr.Discard(),
		Outputs: Outputs{
			Swap: func(*table.Table) error { swapped <- struct{}{}; return nil },
			SetEndpoints: func(_ string, eps []table.Endpoint) {
				for _, e := range eps {
					told <- e.Address.String()
				}
			},
			Publish: func(*graph.Graph, *attach.Policies) {},
		},
	})
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	slice := func(address string) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{ObjectMeta: meta("api-1"), AddressType: discoveryv1.AddressTypeIPv4}
		s.Labels = map[string]string{discoveryv1.LabelServiceName: "api"}
		port := int32(8000)
		s.Ports, s.Endpoints = []discoveryv1.EndpointPort{{Port: &port}}, []discoveryv1.Endpoint{{Addresses: []string{address}}}
		return s
	}
	route := func(path string) *gatewayv1.HTTPRoute {
		r, port := &gatewayv1.HTTPRoute{ObjectMeta: meta("api")}, gatewayv1.PortNumber(80)
		r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "edge"}}
		to := gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: "api", Port: &port}}}
		r.Spec.Rules = []gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Value: &path}}}, BackendRefs: []gatewayv1.HTTPBackendRef{to}}}
		return r
	}
	gateway := &gatewayv1.Gateway{ObjectMeta: meta("edge"), Spec: gatewayv1.GatewaySpec{
		GatewayClassName: "web", Listeners: []gatewayv1.Listener{{Name: "http", Protocol: gatewayv1.HTTPProtocolType, Port: 80}},
	}}
	for _, o := range []Object{
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "gatehouse.dev/gateway"}},
		gateway, route("/a"), slice("10.0.0.1"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Service{ObjectMeta: meta("api"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
	} {
		p.Upsert(o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	wants := func(address string) {
		t.Helper()
		select {
		case got := <-told:
			if got != address {
				t.Errorf("told of %s, want %s", got, address)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("not told of %s", address)
		}
	}
	p.Synced()
	<-swapped
	wants("10.0.0.1:8000")
	p.Finish()
	p.Upsert(route("/b"))
	p.Upsert(slice("10.0.0.2"))
	wants("10.0.0.2:8000")
	p.Upsert(slice("10.0.0.3"))
	wants("10.0.0.3:8000") // by a later turn, so the one before is over
	if len(swapped) != 0 {
		t.Error("a table was built")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPause(t *testing.T) {
	is := func(built time.Duration, share int, want time.Duration) {
		t.Helper()
		if got := pause(built, share); got != want {
			t.Errorf("%v at %d %%: got %v, want %v", built, share, got, want)
		}
	}
	is(0, 15, 0)
	is(3*time.Millisecond, 25, 9*time.Millisecond)
	is(time.Minute, 10, longest)
	is(time.Second, 100, 0)
}
