package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/demo"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/follow"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// standalone is a gateway that is fed from files.
type standalone struct {
	serving
	paths []string
	demo  bool
	in    io.Reader
	out   io.Writer
	errs  io.Writer
	log   logr.Logger
	guide func(*table.Table) error // prints what to try
}

func newStandalone() *cobra.Command {
	s := &standalone{}
	c := &cobra.Command{
		Use:   "standalone",
		Short: "Serve manifests from files, without a cluster",
		Long: `Standalone reads manifests, serves what they say, and follows their changes. A change that has
a fault in it is refused whole, with the file, the line and the fix; what was served before goes on.

Addresses of Services come from EndpointSlices beside them, or with --demo from backends made up on
the spot.`,
		Example: "  gatehouse standalone -f config/samples/quickstart --demo\n  gatehouse standalone -f gateway.yaml -f routes/ --access-log-sample 1",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			s.in, s.out, s.errs = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			return s.run(c.Context())
		},
	}
	addFilename(c, &s.paths)
	c.Flags().BoolVar(&s.demo, "demo", false, "start demo backends for the Services annotated demo.gatehouse.dev/backend, and print requests to try")
	s.add(c.Flags())
	hurry(c.Flags())
	return c
}

// hurry makes the drain delay none: no load balancer watches this process.
func hurry(f *pflag.FlagSet) {
	const none = "-1s"
	flag := f.Lookup("drain-delay")
	flag.DefValue = none
	_ = flag.Value.Set(none) // it parses
}

func (s *standalone) run(ctx context.Context) error {
	var err error
	if s.log, err = s.logger(s.errs); err != nil {
		return err
	}
	options, err := s.options(s.log)
	if err != nil {
		return err
	}
	source, err := newSource(s.in, s.controller, s.ingress, []string{"127.0.0.1"}, s.paths)
	if err != nil {
		return err
	}
	source.config.attach.Clusterless = "a gateway that serves from files has no API server to ask"
	s.guide = func(*table.Table) error { return nil }
	source.trial.checks = !s.demo
	if s.demo {
		d, err := newDemonstration(demo.Start, s.out)
		if err != nil {
			return err
		}
		defer d.demo.Close()
		source.extra, s.guide = d.objects, d.guide
	}
	first := source.readAloud(s.errs)
	for _, p := range first.problems {
		_, _ = fmt.Fprintln(s.errs, p)
	}
	if n := len(first.problems); n > 0 {
		return fmt.Errorf("%d problem(s) in the manifests; nothing is served", n)
	}
	s.tell(source, first)
	server, err := proxy.New(options)
	if err != nil {
		return err
	}
	ctx, stop := usage.UntilTold(ctx)
	defer stop()
	return s.serve(ctx, server, source, first)
}

// tell logs what of r is in order and was probably not meant.
func (s *standalone) tell(source *source, r reading) {
	if why := source.unserved(r); why != "" {
		warn(s.log, why)
	}
	for _, n := range r.notes {
		warn(s.log, "probably not meant", "note", n.String())
	}
}

// serve runs both halves and the file watch until ctx ends.
func (s *standalone) serve(ctx context.Context, server *proxy.Server, source *source, first reading) error {
	applied := make(chan struct{}, 1)
	f := feed{pipeline: join(server, source.config, func(*graph.Graph, *attach.Policies) {
		select {
		case applied <- struct{}{}:
		default:
		}
	}, s.log)}
	f.apply(first.objects)
	f.pipeline.Synced()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return f.pipeline.Run(ctx) })
	group.Go(func() error {
		return follow.Files(ctx, s.paths, func() {
			next := source.read()
			for _, p := range next.problems {
				s.log.Error(nil, "change refused", "problem", p.String())
			}
			if len(next.problems) > 0 {
				s.log.Error(nil, "the last good table goes on being served")
				return
			}
			s.tell(source, next)
			f.apply(next.objects)
		})
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-applied:
		}
		if err := bindErrors(server); err != nil {
			return err
		}
		s.log.Info("serving", "listeners", first.listening(), "admin", s.admin, "files", s.paths)
		return s.guide(first.table)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
