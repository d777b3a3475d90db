package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/replicas"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/sharedkey"
	"github.com/gatehouse-dev/gatehouse/controllers/status"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
)

// running is a gateway that is fed by an API server.
type running struct {
	serving
	kubeconfig string
	namespace  string
	identity   string
	node       string
	addresses  []string
	gateways   string
	pods       string
	elect      bool
}

func newRun() *cobra.Command {
	r := &running{}
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve the Gateways of a cluster",
		Long: `Run watches Gateway API objects, AuthPolicies and ValidationPolicies on an API server, serves what
they say, and writes their statuses. Every replica serves; one of them, the leader, writes.

With --gateways=service each Gateway is reached at a Service of its own, of type LoadBalancer, which the
leader keeps in the Gateway's namespace, and no two Gateways meet. With --gateways=host listeners bind
their ports on the machine itself, which the Gateways share.

While the API server is away the last table goes on being served.`,
		Example: "  gatehouse run\n  gatehouse run --kubeconfig ~/.kube/config --gateways=host --addresses 192.0.2.10 --leader-elect=false",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := r.logger(c.ErrOrStderr())
			if err := cmp.Or(err, r.checkGateways()); err != nil {
				return err
			}
			ctx, stop := usage.UntilTold(c.Context())
			defer stop()
			return r.run(ctx, log)
		},
	}
	r.add(c.Flags())
	f := c.Flags()
	f.StringVar(&r.kubeconfig, "kubeconfig", "", "how to reach the API server; default: the pod's service account, or KUBECONFIG, or ~/.kube/config")
	f.StringVar(&r.namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), systemNamespace), "namespace of the replicas, of the Services that Ingresses are reached at, and of the lease they elect their leader with")
	f.StringVar(&r.identity, "identity", cmp.Or(os.Getenv("POD_NAME"), hostname()), "name of this replica, which is different for each")
	f.StringVar(&r.node, "node", os.Getenv("NODE_NAME"), "with --gateways=host: node whose addresses the Gateways are given when --addresses is not set")
	f.StringSliceVar(&r.addresses, "addresses", nil, "IP addresses or host names at which callers reach the machine; in front of Services they count for those of type NodePort")
	f.StringVar(&r.gateways, "gateways", byService, "how callers get to Gateways: service (each has its own) or host (the ports of the machine)")
	f.StringVar(&r.pods, "pod-selector", "app.kubernetes.io/name=gatehouse", "with --gateways=service: labels of the replicas' pods, in their namespace")
	f.BoolVar(&r.elect, "leader-elect", true, "elect the replica that writes; false if there is only one")
	_ = c.MarkFlagFilename("kubeconfig")
	return c
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "gatehouse"
	}
	return name
}

// kubeconfig is how the API server is reached: by the file that is named, else by
// what kubectl goes by.
func kubeconfig(file string) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
}

// errNoCluster is what there is to say where nothing tells how to reach an API server.
var errNoCluster = errors.New("nothing says how to reach an API server: give --kubeconfig, set KUBECONFIG, or run this in a pod")

// config finds the API server.
func (r *running) config() (*rest.Config, error) {
	config, err := kubeconfig(r.kubeconfig).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errNoCluster
	}
	if err != nil {
		return nil, fmt.Errorf("how to reach the API server: %w", err)
	}
	config.UserAgent = "gatehouse/" + version
	config.QPS, config.Burst = 300, 3000 // beyond what those who write allow themselves together
	return config, nil
}

// reviewer is how the proxy asks the API server about tokens and rights.
func reviewer(config *rest.Config) (c guard.Cluster, err error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return c, fmt.Errorf("how to reach the API server: %w", err)
	}
	c.URL = base.String()
	c.Transport, err = rest.TransportFor(config)
	return c, err
}

func (r *running) run(ctx context.Context, log logr.Logger) error {
	ctrllog.SetLogger(log)
	klog.SetLogger(log) // client-go's: elections and watches
	// First: what is wrong with flags is no matter of the cluster.
	options, err := r.options(log)
	if err != nil {
		return err
	}
	config, err := r.config()
	if err != nil {
		return err
	}
	if options.Cluster, err = reviewer(config); err != nil {
		return err
	}
	server, err := proxy.New(options)
	if err != nil {
		return err
	}
	server.Leading(false)
	group, ctx := errgroup.WithContext(ctx)
	drained, done := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { // at once: alive, if not ready
		defer done()
		return server.Run(ctx)
	})
	group.Go(func() error {
		err := r.control(ctx, drained, server, config, log)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	return group.Wait()
}

// control runs the control half until drained ends, and writes until ctx does. It
// returns with an error only when waiting longer would not help.
func (r *running) control(ctx, drained context.Context, server *proxy.Server, config *rest.Config, log logr.Logger) error {
	var cluster *cluster
	err := retry(ctx, log, func() (err error) {
		cluster, err = newCluster(ctx, config, r)
		return err
	})
	if err != nil {
		return err
	}
	half, err := newControl(r.controller, r.ingress, cluster.addresses)
	if err != nil {
		return err
	}
	if cluster.bundle == "" {
		log.Info("the release of the Gateway API's definitions cannot be told: GatewayClasses have no condition SupportedVersion")
	}
	half.graph.Namespace = r.namespace
	half.graph.Bundle, half.graph.Services = cluster.bundle, r.gateways == byService
	events, stop := cluster.events()
	defer stop()
	services, err := newProvisioning(config, cluster, r, events, log)
	if err != nil {
		return err
	}
	writer := status.New(status.Options{
		Client: cluster.client, Live: cluster.live, Controller: half.graph.Controller, Event: events, Log: log,
		Applied: func() status.Applied { return applied(server, services) },
	})
	shared := replicas.Join(server, r.identity, sharedkey.Options{Client: cluster.client, Namespace: r.namespace, Log: log, Owner: r.release(cluster)})
	pipeline := join(server, half, func(g *graph.Graph, p *attach.Policies) {
		services.publish(g)
		writer.Publish(g, p)
	}, log)

	context.AfterFunc(ctx, pipeline.Finish)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, drained := errgroup.WithContext(drained)
	context.AfterFunc(drained, cancel) // where one fails, all end
	group.Go(func() error { return pipeline.Run(drained) })
	synced := make(chan struct{})
	group.Go(func() error {
		select { // one that does not know the cluster, for it may not read all of it, would write nothing, and keep others from it
		case <-ctx.Done():
			return nil
		case <-synced:
		}
		return replicas.Election{
			Client: cluster.clientset.CoordinationV1(), Namespace: r.namespace, Identity: r.identity, None: !r.elect, Leading: server.Leading, Log: log,
		}.Lead(ctx, together(writer.Run, services.run, shared.Run))
	})
	group.Go(func() error { return services.watch(ctx) })
	group.Go(func() error {
		return cluster.watch.Run(drained, watch.Sink{
			Upsert: func(o watch.Object) {
				pipeline.Upsert(o)
				services.saw(o)
				shared.Saw(o)
				writer.Saw(o)
			},
			Delete: func(o watch.Object) {
				pipeline.Delete(o)
				services.saw(o)
				shared.Gone(o)
			},
			Synced: func() {
				pipeline.Synced()
				close(synced)
				log.Info("watching the cluster", "controller", r.controller, "addresses", cluster.addresses)
			},
		})
	})
	return group.Wait()
}

// together runs all of them, until one fails or ctx ends.
func together(all ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, do := range all {
			group.Go(func() error { return do(ctx) })
		}
		return group.Wait()
	}
}

// applied tells the status writer what the proxy made of the tables.
func applied(server *proxy.Server, services provisioning) status.Applied {
	from := server.Applied()
	a := status.Applied{Generation: from.Generation, BindErrors: map[string]status.BindError{}, Services: services.refused(), KeySets: server.KeySetsMissing()}
	for id, err := range from.Listeners {
		a.BindErrors[id] = status.BindError{Text: err.Error(), Port: from.Unbound(id)}
	}
	if from.Err != nil {
		a.Refused = from.Err.Error()
	}
	return a
}

// settling is how long a cluster that lacks a definition is asked for it: one that
// was installed together with this program is not served at once.
const settling = 10 * time.Second

// retry calls do until it succeeds, ctx ends, or the cluster goes on lacking
// something that a person has to install.
func retry(ctx context.Context, log logr.Logger, do func() error) error {
	var lacking time.Time
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := do()
		switch missing := errors.Is(err, watch.ErrMissingKind); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err() // to be told to end is not a failure
		case missing && lacking.IsZero():
			lacking, wait = time.Now(), time.Second
		case missing && time.Since(lacking) >= settling:
			return err
		case missing:
			wait = time.Second
		default:
			log.Error(err, "the API server cannot be used yet; trying again", "wait", wait.String())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
