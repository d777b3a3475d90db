package command

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/provision"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// The values of --gateways: how callers get to Gateways.
const (
	byService = "service"
	byHost    = "host"
)

// checkGateways refuses what is no value of --gateways.
func (r *running) checkGateways() error {
	if r.gateways != byService && r.gateways != byHost {
		return fmt.Errorf("--gateways %q: use service or host", r.gateways)
	}
	return nil
}

// provisioning keeps the Services of Gateways. Its zero value keeps none.
type provisioning struct {
	writer *provision.Writer
	pods   *watch.Pods
}

// newProvisioning sets up what --gateways asks for.
func newProvisioning(config *rest.Config, c *cluster, r *running, event func(watch.Object, string, string), log logr.Logger) (p provisioning, err error) {
	if r.gateways == byHost {
		return p, nil
	}
	selector, err := labels.Parse(r.pods)
	if err != nil {
		return p, fmt.Errorf("--pod-selector %q: %w", r.pods, err)
	}
	if p.pods, err = watch.NewPods(config, watch.Scheme(), r.namespace, selector); err != nil {
		return p, err
	}
	p.writer = provision.New(provision.Options{
		Client: c.client, Pods: p.pods.Cache, Controller: gatewayv1.GatewayController(r.controller), Event: event, Log: log,
	})
	return p, nil
}

func (p provisioning) publish(g *graph.Graph) {
	if p.writer != nil {
		p.writer.Publish(g)
	}
}

// refused is what the API server has against Services.
func (p provisioning) refused() map[types.NamespacedName]string {
	if p.writer == nil {
		return nil
	}
	return p.writer.Refused()
}

func (p provisioning) saw(o watch.Object) {
	if p.writer != nil {
		p.writer.Saw(o)
	}
}

// watch watches the pods, on every replica, so that whoever leads knows them.
func (p provisioning) watch(ctx context.Context) error {
	if p.writer == nil {
		return nil
	}
	return p.pods.Run(ctx, p.writer.Wake)
}

// run writes, on the leader.
func (p provisioning) run(ctx context.Context) error {
	if p.writer == nil {
		return nil
	}
	return p.writer.Run(ctx)
}
