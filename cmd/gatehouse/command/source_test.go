package command

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// TestFeedAtOnce: what one reading changes comes into effect together, however
// impatient the pipeline is: no table has half of it.
func TestFeedAtOnce(t *testing.T) {
	const gateways, readings = 500, 8
	tables := make(chan int, 1000)
	f := feed{pipeline: joined{Pipeline: controllers.New(controllers.Options{
		Graph: graph.Config{Controller: "ours"}, Quiet: time.Nanosecond, Ceiling: time.Nanosecond, Share: 100, Log: logr.Discard(),
		Outputs: controllers.Outputs{
			Swap:         func(t *table.Table) error { tables <- len(t.Listeners); return nil },
			SetEndpoints: func(string, []table.Endpoint) {},
			Publish:      func(*graph.Graph, *attach.Policies) {},
		},
	})}}
	reading := func(generation int) (out []controllers.Object) {
		out = append(out, &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "ours"}})
		for i := range gateways {
			out = append(out, &gatewayv1.Gateway{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("g-%d-%d", generation, i)},
				Spec: gatewayv1.GatewaySpec{
					GatewayClassName: "c",
					Listeners:        []gatewayv1.Listener{{Name: "http", Port: gatewayv1.PortNumber(1000 + i), Protocol: gatewayv1.HTTPProtocolType}},
				},
			})
		}
		return out
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	f.apply(reading(0))
	f.pipeline.Synced()
	go func() { ended <- f.pipeline.Pipeline.Run(ctx) }()
	for i := range readings {
		if n := <-tables; n != gateways {
			t.Errorf("a table with %d of %d listeners", n, gateways)
		}
		f.apply(reading(i + 1))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
