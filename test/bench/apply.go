package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

const (
	pollEvery    = 500 * time.Microsecond // while a new route is awaited: the resolution of the figures
	quietEvery   = 20 * time.Millisecond  // the same, where polling must not show in the CPU time
	quietSamples = 20
	applyLimit   = 45 * time.Second // for the samples of one row; what has been measured by then is reported
)

// measureApply measures the way from a route applied to the first answer that shows it.
func measureApply(ctx context.Context, b *bench, r *report.Report) error {
	r.Apply = nil
	for _, n := range []int{10, 5000} {
		for _, way := range []func(context.Context, *bench, peer.Site, int) (report.Apply, error){applyFiles, applyObjects} {
			row, err := b.apply(ctx, n, way)
			if err != nil {
				return fmt.Errorf("%s, %d routes: %w", row.What, n, err)
			}
			r.Apply = append(r.Apply, row)
		}
	}
	return nil
}

func (b *bench) apply(ctx context.Context, n int, way func(context.Context, *bench, peer.Site, int) (report.Apply, error)) (row report.Apply, err error) {
	backends, stop, err := b.backends(ctx)
	if err != nil {
		return row, err
	}
	defer stop()
	ports, err := peer.FreePorts(5)
	if err != nil {
		return row, err
	}
	s := peer.Site{
		CPUs: peer.AnyCPU, Threads: 2, HTTP: ports[0], HTTPS: ports[1], TCP: ports[2], UDP: ports[3], Admin: ports[4],
		Backends: backends, Certificate: b.certificate, Program: b.binary, Manifests: manyRoutes(n),
	}
	if s.Folder, err = os.MkdirTemp(b.dir, "apply-"); err != nil {
		return row, err
	}
	return way(ctx, b, s, n)
}

// newRoute is the manifest of the route of one sample, and the path it serves.
func newRoute(i int) (manifest, path string) {
	path = newPath(i)
	return routeManifest(newName(i), peer.Host, path), path
}

func newPath(i int) string { return fmt.Sprintf("/new/%d", i) }
func newName(i int) string { return fmt.Sprintf("new-%d", i) }

// applyFiles writes manifests below a gateway that runs as a user would run it. Each
// sample's route takes the place of the one before, so that their number stays.
func applyFiles(ctx context.Context, b *bench, s peer.Site, n int) (row report.Apply, err error) {
	row = report.Apply{What: "manifest file", Routes: n}
	p, err := b.contenders[gatehouse].Start(ctx, s)
	if err != nil {
		return row, err
	}
	defer p.Stop()
	addr, admin := peer.Local(s.HTTP), peer.Local(s.Admin)
	if err := answeredBy(ctx, addr, "/api/1", "api"); err != nil {
		return row, err
	}
	time.Sleep(2 * time.Second) // for what starting took to be given back
	if row.MemoryBefore, row.Heap, err = memory(ctx, p, admin); err != nil {
		return row, err
	}
	write := func(i int) (string, error) {
		manifest, path := newRoute(i)
		draft := filepath.Join(s.Folder, "new.yaml")
		if err := os.WriteFile(draft, []byte(manifest), 0o644); err != nil {
			return "", err
		}
		return path, os.Rename(draft, filepath.Join(s.Folder, "conf", "new.yaml"))
	}
	if row.Latency, err = sample(ctx, addr, b.samples, pollEvery, write); err != nil {
		return row, p.Failure(err.Error())
	}
	if row.MemoryAfter, _, err = memory(ctx, p, admin); err != nil {
		return row, err
	}
	before, err := p.CPU()
	if err != nil {
		return row, err
	}
	quiet, err := sample(ctx, addr, quietSamples, quietEvery, func(i int) (string, error) { return write(i + b.samples) })
	if err != nil {
		return row, err
	}
	after, err := p.CPU()
	row.CPUPerChange = report.Milliseconds(after-before) / float64(max(1, quiet.Samples))
	return row, err
}

// applyObjects hands objects to a pipeline in this process.
func applyObjects(ctx context.Context, b *bench, s peer.Site, n int) (row report.Apply, err error) {
	row = report.Apply{What: "object", Routes: n}
	var builds, swaps []time.Duration // written by the pipeline's goroutine, read once it has ended
	built := func(build, swap time.Duration) { builds, swaps = append(builds, build), append(swaps, swap) }
	err = runPipeline(ctx, s, built, func(ctx context.Context, p *pipeline) error {
		if err := answeredBy(ctx, peer.Local(s.HTTP), "/api/1", "api"); err != nil {
			return err
		}
		row.Latency, err = sample(ctx, peer.Local(s.HTTP), b.samples, pollEvery, p.change)
		return err
	})
	row.Build, row.Swap = report.NewLatency(builds[min(1, len(builds)):]), report.NewLatency(swaps[min(1, len(swaps)):]) // the first is everything
	return row, err
}

// memory is a gateway's resident and live bytes, in MiB.
func memory(ctx context.Context, p *peer.Process, admin string) (resident, live float64, err error) {
	bytes, err := p.Memory()
	if err != nil {
		return 0, 0, err
	}
	live, err = metric(ctx, admin, "go_memstats_heap_alloc_bytes")
	return float64(bytes) / (1 << 20), live / (1 << 20), err
}

// answeredBy sees that requests for path reach the backend, within five seconds.
func answeredBy(ctx context.Context, addr, path, backend string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		status, got, err := get(ctx, addr, path)
		if err == nil && status == http.StatusOK && got == backend {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("GET %s: want 200 from backend %s, got %d from %q, %w", path, backend, status, got, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// get asks for a path of the measured host; it returns the status and the name of the backend.
func get(ctx context.Context, addr, path string) (int, string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	q.Host = peer.Host
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	_, err = io.Copy(io.Discard, a.Body)
	return a.StatusCode, a.Header.Get("X-Backend"), err
}
