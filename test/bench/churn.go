package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// churn is a contender with many routes, which change while it is loaded.
type churn struct {
	Site      peer.Site
	Routes    int
	PerSecond int    // changes, at most
	Control   string // where a pipeline is told to change
}

// servePipeline is the child that serves a pipeline until it is stopped. A POST to
// Control changes one route.
func servePipeline(ctx context.Context, c churn) error {
	c.Site.Manifests = manyRoutes(c.Routes)
	return runPipeline(ctx, c.Site, func(_, _ time.Duration) {}, func(ctx context.Context, p *pipeline) error {
		changed := 0
		control := &http.Server{Addr: c.Control, ReadHeaderTimeout: time.Second}
		control.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // one at a time: there is one caller
			if _, err := p.change(changed); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			changed++
		})
		stop := context.AfterFunc(ctx, func() { _ = control.Close() })
		defer stop()
		err := control.ListenAndServe()
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// startChurn starts a contender of many routes on the site's CPUs.
func (b *bench) startChurn(ctx context.Context, r *running) (err error) {
	c, s := *r.churn, r.site
	c.Site = s
	if r.peer == caddy {
		r.change = func(ctx context.Context, i int) error { return peer.ChangeCaddyRoute(ctx, s, i) }
		r.process, err = peer.StartCaddyRoutes(ctx, s, c.Routes)
		return err
	}
	ports, err := peer.FreePorts(1)
	if err != nil {
		return err
	}
	c.Control = peer.Local(ports[0])
	r.change = func(ctx context.Context, _ int) error { return post(ctx, c.Control) }
	argv, err := b.task("pipeline", c)
	if err != nil {
		return err
	}
	p, err := peer.Launch(s.Folder, s.CPUs, []string{fmt.Sprintf("GOMAXPROCS=%d", s.Threads)}, argv...)
	if err != nil {
		return err
	}
	for _, addr := range []string{peer.Local(s.HTTP), c.Control} {
		if err := p.Opened(ctx, addr); err != nil {
			p.Stop()
			return err
		}
	}
	r.process = p
	return nil
}

func post(ctx context.Context, addr string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr, nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("changing a route: %s", a.Status)
	}
	return nil
}

// changing makes r's load, and meanwhile changes its routes, if they are to: one
// after the other, so that one which does not keep up gets fewer. It returns how many were applied.
func (b *bench) changing(ctx context.Context, r *running, seconds float64) (load.Totals, int, error) {
	if r.churn == nil || r.churn.PerSecond == 0 {
		t, err := b.load(ctx, r.spec, seconds)
		return t, 0, err
	}
	until, stop := context.WithCancel(ctx)
	applied, done := 0, make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second / time.Duration(r.churn.PerSecond))
		defer tick.Stop()
		for {
			select {
			case <-until.Done():
				done <- nil
				return
			case <-tick.C:
			}
			r.changed++
			if err := r.change(until, r.changed); err != nil {
				if until.Err() != nil {
					err = nil // under way when the load ended
				}
				done <- err
				return
			}
			applied++
		}
	}()
	t, err := b.load(ctx, r.spec, seconds)
	stop()
	if failed := <-done; err == nil {
		err = failed
	}
	return t, applied, err
}
