package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// pipeline is controllers and proxy in one process, handed objects as informers
// would hand them in a cluster: no files, no parsing.
type pipeline struct {
	*controllers.Pipeline
	reader *manifests.Reader
	last   controllers.Object
}

// runPipeline serves a site until use returns. built is told what each build and swap took.
func runPipeline(ctx context.Context, s peer.Site, built func(build, swap time.Duration), use func(context.Context, *pipeline) error) error {
	server, err := proxy.New(proxy.Options{
		Admin: peer.Local(s.Admin), Log: logr.Discard(), Drain: proxy.Drain{Delay: -1, Timeout: time.Second},
	})
	if err != nil {
		return err
	}
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		return err
	}
	p := &pipeline{reader: reader, Pipeline: controllers.New(controllers.Options{
		Graph: graph.Config{Controller: "gatehouse.dev/gateway-controller", Addresses: []string{"127.0.0.1"}},
		Outputs: controllers.Outputs{
			Swap: server.Swap, SetEndpoints: server.SetEndpoints, Publish: func(*graph.Graph, *attach.Policies) {},
			Built: func(_ int, build, swap time.Duration) { built(build, swap) },
		},
		GiveWay: server.GiveWay,
		Log:     logr.Discard(),
	})}
	texts, err := peer.Manifests(s)
	if err != nil {
		return err
	}
	for _, text := range texts {
		objects, err := parse(reader, text)
		if err != nil {
			return err
		}
		for _, o := range objects {
			p.Upsert(o)
		}
	}
	p.Synced()
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return p.Run(ctx) })
	err = use(ctx, p)
	cancel()
	if e := group.Wait(); err == nil {
		err = e
	}
	return err
}

// change puts new route i in the place of the one before; it returns the path it serves.
func (p *pipeline) change(i int) (string, error) {
	manifest, path := newRoute(i)
	objects, err := parse(p.reader, manifest)
	if err != nil {
		return "", err
	}
	p.Upsert(objects[0])
	if p.last != nil {
		p.Delete(p.last)
	}
	p.last = objects[0]
	return path, nil
}

// parse reads manifests that are known to be good.
func parse(reader *manifests.Reader, text string) (objects []controllers.Object, err error) {
	ms, problems := reader.Parse("bench.yaml", []byte(text))
	if len(problems) > 0 {
		return nil, fmt.Errorf("the manifests are at fault: %v", problems)
	}
	for _, m := range ms {
		objects = append(objects, m.Object)
	}
	return objects, nil
}
