package command

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/memory"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/names"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// joined is the control half, connected to the data half.
type joined struct {
	*controllers.Pipeline
	names *names.Resolver
}

// join connects the control half to the data half.
func join(server *proxy.Server, config control, publish func(*graph.Graph, *attach.Policies), log logr.Logger) joined {
	var j joined
	giveBack := sync.OnceFunc(memory.GiveBack) // what starting has taken
	j.names = names.New(names.Options{Found: func(id string, eps []table.Endpoint) { j.Found(id, eps) }, Log: log})
	j.Pipeline = controllers.New(controllers.Options{
		Graph:  config.graph,
		Attach: config.attach,
		Outputs: controllers.Outputs{
			Swap:         server.Swap,
			SetEndpoints: server.SetEndpoints,
			Names:        j.names.Want,
			Publish:      publish,
			Built: func(routes int, build, swap time.Duration) {
				server.Compiled(build)
				giveBack()
				log.V(1).Info("table applied", "routes", routes, "build", build, "swap", swap)
			},
		},
		GiveWay: server.GiveWay,
		Log:     log,
	})
	return j
}

// Run runs the pipeline, what it asks of DNS, and what keeps the process small, until ctx ends.
func (j joined) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return j.Pipeline.Run(ctx) })
	group.Go(func() error { return j.names.Run(ctx) })
	group.Go(func() error { return memory.Keep(ctx) })
	return group.Wait()
}
