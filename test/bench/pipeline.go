package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

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
	model string // a route as the API server sends it
	last  controllers.Object
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
	p := &pipeline{Pipeline: controllers.New(controllers.Options{
		Graph: graph.Config{Controller: "gatehouse.dev/gateway-controller", Addresses: []string{"127.0.0.1"}},
		Outputs: controllers.Outputs{
			Swap: server.Swap, SetEndpoints: server.SetEndpoints, Publish: func(*graph.Graph, *attach.Policies) {},
			Built: func(_ int, build, swap time.Duration) { built(build, swap) },
		},
		GiveWay: server.GiveWay,
		Log:     logr.Discard(),
	})}
	if p.model, err = modelRoute(reader); err != nil {
		return err
	}
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
// The object is decoded from JSON, which is what informers do.
func (p *pipeline) change(i int) (string, error) {
	path, route := newPath(i), &gatewayv1.HTTPRoute{}
	text := strings.NewReplacer(newName(0), newName(i), newPath(0), path).Replace(p.model)
	if err := json.Unmarshal([]byte(text), route); err != nil {
		return "", err
	}
	p.Upsert(route)
	if p.last != nil {
		p.Delete(p.last)
	}
	p.last = route
	return path, nil
}

// modelRoute is new route 0 in JSON.
func modelRoute(reader *manifests.Reader) (string, error) {
	manifest, _ := newRoute(0)
	objects, err := parse(reader, manifest)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(objects[0])
	return string(text), err
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
