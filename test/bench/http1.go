package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

//go:embed wrk.lua
var wrkLua string

// http1 loads one proxy after the other with the same requests.
type http1 struct {
	rounds      int
	time        time.Duration
	warmup      time.Duration
	connections int
	other       string

	script   string
	backends *backends
}

func (h *http1) flags(c *cobra.Command) {
	c.Flags().IntVar(&h.rounds, "rounds", 5, "runs of each proxy, in turn")
	c.Flags().DurationVar(&h.time, "time", 3*time.Second, "length of a run, in whole seconds")
	c.Flags().DurationVar(&h.warmup, "warmup", time.Second, "load ahead of each run, in whole seconds")
	c.Flags().IntVar(&h.connections, "connections", 64, "keep-alive connections")
	c.Flags().StringVar(&h.other, "other", "", "another gatehouse binary to measure in the same run, such as the last release's")
}

// variant is one kind of request.
type variant struct {
	name    string
	headers []string
}

func variants() []variant {
	return []variant{
		{"small", nil},
		{"700 B of headers", []string{
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
			"Accept-Language: en-GB,en;q=0.7,de;q=0.3",
			"Accept-Encoding: gzip, deflate, br, zstd",
			"Referer: https://" + host + "/catalogue/garden/tools?page=3&sort=price",
			"Cookie: session=7d1f0f6c3b0e4a54a5e7c1b9c2d84f30; theme=dark; consent=necessary.statistics; cart=3f8b1c92",
			"Cache-Control: no-cache",
			"Sec-Fetch-Dest: document",
			"Sec-Fetch-Mode: navigate",
			"Sec-Fetch-Site: same-origin",
			"X-Request-Id: 9b2c1e9e-5b1a-4b6f-8f0e-7d5f2f6f9a11",
			"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			"If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
		}},
	}
}

// contender is a program that is measured.
type contender struct {
	name  string
	start func(ctx context.Context, port int) (*process, string, error) // and its admin address, if it has one
}

func (h *http1) measure(ctx context.Context, b *bench, r *Report) error {
	proxies := []contender{h.gatehouse("gatehouse", b)}
	for _, program := range []string{"wrk", "taskset"} {
		if err := b.need(ctx, program); err != nil {
			return fmt.Errorf("http1 is left out: %w", err)
		}
	}
	if err := b.need(ctx, "nginx"); err != nil {
		r.Notes = append(r.Notes, "http1: nginx is left out: "+err.Error())
	} else {
		proxies = append(proxies, contender{"nginx", func(ctx context.Context, port int) (*process, string, error) {
			p, err := startNginx(ctx, b, port, h.backends.ports)
			return p, "", err
		}})
	}
	if h.other != "" {
		other := *b
		other.binary = h.other
		proxies = append(proxies, h.gatehouse("other gatehouse", &other))
	}
	if r.Machine.CPUs < 2 {
		return fmt.Errorf("http1 is left out: it needs two CPUs, one for the proxy and one for the load")
	}
	h.script = filepath.Join(b.dir, "wrk.lua")
	if err := os.WriteFile(h.script, []byte(wrkLua), 0o644); err != nil {
		return err
	}
	var err error
	if h.backends, err = startBackends(ctx, b); err != nil {
		return err
	}
	defer h.backends.stop()
	for _, v := range variants() {
		result := HTTP1{Variant: v.name, HeaderBytes: headerBytes(v.headers), Connections: h.connections, Seconds: h.time.Seconds()}
		for _, p := range proxies {
			result.Proxies = append(result.Proxies, ProxyResults{Name: p.name})
		}
		for round := range h.rounds {
			for i := range proxies {
				i = (i + round) % len(proxies) // each goes first in turn
				p := proxies[i]
				progress("http1, %s, round %d of %d: %s", v.name, round+1, h.rounds, p.name)
				run, err := h.run(ctx, p, v)
				if err != nil {
					return fmt.Errorf("http1, %s: %w", p.name, err)
				}
				result.Proxies[i].Runs = append(result.Proxies[i].Runs, run)
			}
		}
		r.HTTP1 = append(r.HTTP1, result)
	}
	return nil
}

// gatehouse is a gatehouse binary as a contender.
func (h *http1) gatehouse(name string, b *bench) contender {
	return contender{name, func(ctx context.Context, port int) (*process, string, error) {
		g, err := startGateway(ctx, b, proxyCPU, port, map[string]string{
			"gateway.yaml": gatewayManifest(port, h.backends.ports), "route.yaml": splitManifest(),
		})
		if err != nil {
			return nil, "", err
		}
		return g.process, g.admin, nil
	}}
}

func startBackends(ctx context.Context, b *bench) (*backends, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(len(backendNames()))
	if err != nil {
		return nil, err
	}
	p, err := launch(b.dir, loadCPU, []string{"GOMAXPROCS=1"}, self, "backend", "--listen", local(ports[0]), "--listen", local(ports[1]))
	if err != nil {
		return nil, err
	}
	for _, port := range ports {
		if err := p.opened(ctx, local(port)); err != nil {
			p.stop()
			return nil, err
		}
	}
	return &backends{p, backendNames(), ports}, nil
}

// run starts a proxy, sees that it routes as it should, warms it up and loads it.
func (h *http1) run(ctx context.Context, p contender, v variant) (Run, error) {
	ports, err := freePorts(1)
	if err != nil {
		return Run{}, err
	}
	process, admin, err := p.start(ctx, ports[0])
	if err != nil {
		return Run{}, err
	}
	defer process.stop()
	for path, backend := range map[string]string{"/api/v1/items": "api", "/": "site"} {
		if err := answeredBy(ctx, local(ports[0]), path, backend); err != nil {
			return Run{}, err
		}
	}
	url := "http://" + local(ports[0]) + "/api/v1/items"
	if _, err := h.load(ctx, h.warmup, url, v.headers); err != nil {
		return Run{}, err
	}
	allocated, err := countMallocs(ctx, admin)
	if err != nil {
		return Run{}, err
	}
	before, err := process.cpu()
	if err != nil {
		return Run{}, err
	}
	started := time.Now()
	total, err := h.load(ctx, h.time, url, v.headers)
	if err != nil {
		return Run{}, err
	}
	elapsed := time.Since(started)
	after, err := process.cpu()
	if err != nil {
		return Run{}, err
	}
	n := float64(total.Requests)
	run := Run{
		CPU:        float64((after - before).Microseconds()) / n,
		Throughput: n / (float64(total.Microseconds) / 1e6),
		Busy:       (after - before).Seconds() / elapsed.Seconds(),
		P50:        total.P50, P99: total.P99,
	}
	if admin != "" {
		mallocs, err := allocated()
		if err != nil {
			return Run{}, err
		}
		run.Allocs = float64(mallocs) / n
	}
	bytes, err := process.memory()
	run.Memory = float64(bytes) / (1 << 20)
	return run, err
}

// answeredBy sees that requests for path reach the backend.
func answeredBy(ctx context.Context, addr, path, backend string) error {
	// The table, or the backends' addresses, may come a moment after the listener.
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
	q.Host = host
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	_, err = io.Copy(io.Discard, a.Body)
	return a.StatusCode, a.Header.Get("X-Backend"), err
}

// totals is what wrk.lua writes.
type totals struct {
	Requests     int64 `json:"requests"`
	Microseconds int64 `json:"microseconds"`
	Refused      int64 `json:"refused"` // status 400 and up
	Broken       int64 `json:"broken"`  // no answer
	P50          int64 `json:"p50"`     // microseconds
	P99          int64 `json:"p99"`
}

// load runs wrk; every request must have been answered 2xx.
func (h *http1) load(ctx context.Context, d time.Duration, url string, headers []string) (totals, error) {
	args := []string{
		"-c", strconv.Itoa(loadCPU), "wrk", "-t1", "-c" + strconv.Itoa(h.connections),
		"-d" + strconv.Itoa(max(1, int(d.Seconds()))) + "s", "-s", h.script, "-H", "Host: " + host,
	}
	for _, header := range headers {
		args = append(args, "-H", header)
	}
	out, err := exec.CommandContext(ctx, "taskset", append(args, url)...).Output()
	if err != nil {
		return totals{}, fmt.Errorf("wrk: %w", err)
	}
	return parseTotals(out)
}

// parseTotals reads the last line of what wrk wrote.
func parseTotals(out []byte) (t totals, err error) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &t); err != nil {
		return t, fmt.Errorf("wrk wrote %q: %w", out, err)
	}
	if t.Refused+t.Broken > 0 || t.Requests == 0 {
		return t, fmt.Errorf("of %d requests %d were refused and %d broken", t.Requests, t.Refused, t.Broken)
	}
	return t, nil
}

// headerBytes is how much header lines take up in a request.
func headerBytes(headers []string) (n int) {
	for _, h := range headers {
		n += len(h) + len("\r\n")
	}
	return n
}
