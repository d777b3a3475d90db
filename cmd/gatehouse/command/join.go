package command

import (
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy"
)

// join connects the control half to the data half.
func join(server *proxy.Server, config control, publish func(*graph.Graph, *attach.Policies), log logr.Logger) *controllers.Pipeline {
	return controllers.New(controllers.Options{
		Graph:  config.graph,
		Attach: config.attach,
		Outputs: controllers.Outputs{
			Swap:         server.Swap,
			SetEndpoints: server.SetEndpoints,
			Publish:      publish,
			Built: func(routes int, build, swap time.Duration) {
				server.Compiled(build)
				log.V(1).Info("table applied", "routes", routes, "build", build, "swap", swap)
			},
		},
		Log: log,
	})
}
