package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

const (
	pollEvery    = 500 * time.Microsecond // while a new route is awaited: the resolution of the figures
	quietEvery   = 20 * time.Millisecond  // the same, where polling must not show in the CPU time
	quietSamples = 20
)

// apply measures the way from a route applied to the first answer that shows it.
type apply struct {
	samples int
	routes  []int
	limit   time.Duration
}

func (a *apply) flags(c *cobra.Command) {
	c.Flags().IntVar(&a.samples, "samples", 500, "routes applied, one after the other")
	c.Flags().IntSliceVar(&a.routes, "routes", []int{10, 5000}, "routes there are already")
	c.Flags().DurationVar(&a.limit, "limit", 10*time.Minute, "for the samples of one table row; what has been measured by then is reported")
}

func (a *apply) measure(ctx context.Context, b *bench, r *Report) error {
	backends, err := startBackends(ctx, b)
	if err != nil {
		return err
	}
	defer backends.stop()
	for _, n := range a.routes {
		progress("apply: a manifest written, %d routes there already", n)
		row, err := a.files(ctx, b, backends, n)
		if err != nil {
			return fmt.Errorf("apply, files, %d routes: %w", n, err)
		}
		r.Apply = append(r.Apply, row)
		progress("apply: an object handed to the pipeline, %d routes there already", n)
		if row, err = a.pipeline(ctx, backends, n); err != nil {
			return fmt.Errorf("apply, pipeline, %d routes: %w", n, err)
		}
		r.Apply = append(r.Apply, row)
	}
	return nil
}

// newRoute is the manifest of the route of one sample, and the path it serves.
func newRoute(i int) (manifest, path string) {
	path = fmt.Sprintf("/new/%d", i)
	return routeManifest(fmt.Sprintf("new-%d", i), host, path), path
}

// files writes manifests below a gateway that runs as a user would run it. Each
// sample's route takes the place of the one before, so that their number stays.
func (a *apply) files(ctx context.Context, b *bench, backends *backends, n int) (Apply, error) {
	row := Apply{What: "manifest file", Routes: n}
	ports, err := freePorts(1)
	if err != nil {
		return row, err
	}
	files := manyRoutes(n)
	files["gateway.yaml"] = gatewayManifest(ports[0], backends.ports)
	files["split.yaml"] = splitManifest()
	g, err := startGateway(ctx, b, -1, ports[0], files)
	if err != nil {
		return row, err
	}
	defer g.stop()
	if err := answeredBy(ctx, g.addr, "/api/1", "api"); err != nil {
		return row, err
	}
	time.Sleep(2 * time.Second) // for what starting took to be given back
	if row.MemoryBefore, row.Heap, err = a.memory(ctx, g); err != nil {
		return row, err
	}
	write := func(i int) (string, error) {
		manifest, path := newRoute(i)
		draft := filepath.Join(b.dir, "new.yaml")
		if err := os.WriteFile(draft, []byte(manifest), 0o644); err != nil {
			return "", err
		}
		return path, os.Rename(draft, filepath.Join(g.dir, "new.yaml"))
	}
	if row.Latency, err = a.sample(ctx, g.addr, a.samples, pollEvery, write); err != nil {
		return row, g.failure(err.Error())
	}
	if row.MemoryAfter, _, err = a.memory(ctx, g); err != nil {
		return row, err
	}
	before, err := g.cpu()
	if err != nil {
		return row, err
	}
	quiet, err := a.sample(ctx, g.addr, quietSamples, quietEvery, func(i int) (string, error) { return write(i + a.samples) })
	if err != nil {
		return row, err
	}
	after, err := g.cpu()
	row.CPUPerChange = milliseconds(after-before) / float64(max(1, quiet.Samples))
	return row, err
}

// memory is a gateway's resident and live bytes, in MiB.
func (a *apply) memory(ctx context.Context, g *gateway) (resident, live float64, err error) {
	bytes, err := g.memory()
	if err != nil {
		return 0, 0, err
	}
	live, err = metric(ctx, g.admin, "go_memstats_heap_alloc_bytes")
	return float64(bytes) / (1 << 20), live / (1 << 20), err
}

// sample applies routes and waits for each to be served as it should.
func (a *apply) sample(ctx context.Context, addr string, n int, every time.Duration, apply func(int) (string, error)) (Latency, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return Latency{}, err
	}
	p := &poller{conn: c, in: bufio.NewReader(c), every: every}
	defer c.Close()
	var took []time.Duration
	for start, i := time.Now(), 0; i < n && time.Since(start) < a.limit && ctx.Err() == nil; i++ {
		applied := time.Now()
		path, err := apply(i)
		if err != nil {
			return Latency{}, err
		}
		if err := p.until(path); err != nil {
			return Latency{}, fmt.Errorf("route %d: %w", i, err)
		}
		took = append(took, time.Since(applied))
		time.Sleep(time.Duration(i%10) * time.Millisecond) // not in step with anything
	}
	return latency(took), ctx.Err()
}

// poller asks for one path over and over on one connection.
type poller struct {
	conn  net.Conn
	in    *bufio.Reader
	every time.Duration
	out   bytes.Buffer
}

// until returns when path is answered 200, by the right backend.
func (p *poller) until(path string) error {
	deadline := time.Now().Add(30 * time.Second)
	if err := p.conn.SetDeadline(deadline); err != nil {
		return err
	}
	for {
		p.out.Reset()
		fmt.Fprintf(&p.out, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
		if _, err := p.conn.Write(p.out.Bytes()); err != nil {
			return err
		}
		a, err := http.ReadResponse(p.in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, a.Body); err != nil {
			return err
		}
		a.Body.Close()
		// Until then the catch-all rule sends the path to the other backend.
		if a.StatusCode == http.StatusOK && a.Header.Get("X-Backend") == "api" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("GET %s still answers %s from %q", path, a.Status, a.Header.Get("X-Backend"))
		}
		time.Sleep(p.every)
	}
}
