package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
)

// pipeline hands objects to a pipeline in this process, as informers would: no
// files, no parsing.
func (a *apply) pipeline(ctx context.Context, backends *backends, n int) (row Apply, err error) {
	row = Apply{What: "object", Routes: n}
	ports, err := freePorts(1)
	if err != nil {
		return row, err
	}
	server, err := proxy.New(proxy.Options{
		Admin: "127.0.0.1:0", Log: logr.Discard(), Drain: proxy.Drain{Delay: -1, Timeout: time.Second},
	})
	if err != nil {
		return row, err
	}
	var builds, swaps []time.Duration // written by the pipeline's goroutine, read once it has ended
	p := controllers.New(controllers.Options{
		Graph: graph.Config{Controller: "gatehouse.dev/gateway-controller", Addresses: []string{"127.0.0.1"}},
		Outputs: controllers.Outputs{
			Swap: server.Swap, SetEndpoints: server.SetEndpoints, Publish: func(*graph.Graph, *attach.Policies) {},
			Built: func(_ int, build, swap time.Duration) { builds, swaps = append(builds, build), append(swaps, swap) },
		},
		Log: logr.Discard(),
	})
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		return row, err
	}
	texts := []string{gatewayManifest(ports[0], backends.ports), splitManifest()}
	for _, text := range manyRoutes(n) {
		texts = append(texts, text)
	}
	for _, text := range texts {
		objects, err := parse(reader, text)
		if err != nil {
			return row, err
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
	row.Latency, err = a.samplePipeline(ctx, p, reader, local(ports[0]))
	cancel()
	if e := group.Wait(); err == nil {
		err = e
	}
	row.Build, row.Swap = latency(builds[min(1, len(builds)):]), latency(swaps[min(1, len(swaps)):]) // the first is everything
	return row, err
}

func (a *apply) samplePipeline(ctx context.Context, p *controllers.Pipeline, reader *manifests.Reader, addr string) (Latency, error) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return Latency{}, fmt.Errorf("waiting for the listener: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := answeredBy(ctx, addr, "/api/1", "api"); err != nil {
		return Latency{}, err
	}
	var last controllers.Object
	return a.sample(ctx, addr, a.samples, pollEvery, func(i int) (string, error) {
		manifest, path := newRoute(i)
		objects, err := parse(reader, manifest)
		if err != nil {
			return "", err
		}
		p.Upsert(objects[0])
		if last != nil {
			p.Delete(last)
		}
		last = objects[0]
		return path, nil
	})
}

// parse reads manifests that are known to be good.
func parse(reader *manifests.Reader, text string) (objects []controllers.Object, err error) {
	ms, problems := reader.Parse("bench.yaml", []byte(text))
	if len(problems) > 0 {
		all := slices.Collect(func(yield func(string) bool) {
			for _, p := range problems {
				if !yield(p.String()) {
					return
				}
			}
		})
		return nil, fmt.Errorf("the manifests are at fault: %s", strings.Join(all, "; "))
	}
	for _, m := range ms {
		objects = append(objects, m.Object)
	}
	return objects, nil
}
