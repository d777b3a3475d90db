package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
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
