package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// entries are a scenario's contenders as the user chose among them.
func (b *bench) entries(s scenario) (out []entry) {
	for _, e := range s.entries {
		if e.peer == gatehouse || len(b.peers) == 0 || slices.Contains(b.peers, e.peer) {
			out = append(out, e)
		}
	}
	for _, p := range peer.Others() { // those that the scenario itself would not have measured
		named := slices.ContainsFunc(s.entries, func(e entry) bool { return e.peer == p.Name })
		if slices.Contains(b.peers, p.Name) && !named && len(s.entries) > 1 && s.entries[1].peer != gatehouse {
			out = append(out, entry{name: p.Name, peer: p.Name})
		}
	}
	if b.other != "" {
		out = beside(out)
	}
	return out
}

// beside has the other binary measured in each way that this one is.
func beside(entries []entry) (out []entry) {
	for _, e := range entries {
		out = append(out, e)
		if e.peer != gatehouse || e.churn != nil {
			continue
		}
		if e.peer = "other"; e.name == gatehouse {
			e.name = "other"
		} else {
			e.name = "other, " + e.name
		}
		out = append(out, e)
	}
	return out
}

// running is a contender under way.
type running struct {
	entry
	process *peer.Process
	site    peer.Site
	spec    load.Spec
	warm    bool
	failed  bool
	shared  bool                                   // the process is that of other contenders too
	change  func(ctx context.Context, i int) error // of a route, where they do
	changed int
	asked   int64 // requests that are in the figures
	lost    int64 // requests of a lossy load that were answered wrongly or not at all
}

// scenario starts every contender, then loads one after the other, as many times
// as there are runs, each going first in turn. A contender that fails is left out.
func (b *bench) scenario(ctx context.Context, s scenario) (report.Scenario, error) {
	out := report.Scenario{Name: s.name, Title: s.title, Unit: s.unit, Load: s.what + ".", Goal: s.goal, Seconds: b.seconds}
	backends, stop, err := b.backends(ctx)
	if err != nil {
		return out, err
	}
	defer stop()
	var all []*running
	defer func() {
		for i, r := range all {
			if !slices.ContainsFunc(all[:i], func(o *running) bool { return o.process == r.process }) {
				r.process.Stop()
			}
		}
	}()
	for _, e := range b.entries(s) {
		r, err := b.start(ctx, s, e, backends, all)
		if err == nil {
			all = append(all, r)
			continue
		}
		progress("%s: %s is left out: %v", s.name, e.name, err)
		out.Skipped = append(out.Skipped, fmt.Sprintf("%s is left out: %s.", e.name, oneLine(err.Error())))
		if e.peer == gatehouse {
			return out, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if s.half {
		if err := b.halve(ctx, all); err != nil {
			return out, err
		}
	}
	out.Contenders = make([]report.Contender, len(all))
	for i, r := range all {
		out.Contenders[i].Name = r.name
	}
	failed := b.rounds(ctx, s, all, &out)
	for i, r := range all {
		if r.lost > 0 {
			out.Skipped = append(out.Skipped, fmt.Sprintf("%s: %d of %d requests were answered wrongly or not at all; they are not in its figures.", r.name, r.lost, r.asked))
		}
		if !r.failed && ctx.Err() == nil {
			out.Contenders[i].Syscalls = b.syscalls(ctx, r)
		}
	}
	return out, errors.Join(append(failed, ctx.Err())...)
}

// rounds loads all contenders as often as is wanted, and puts their runs into out.
// One that fails is left out of the rounds that follow.
func (b *bench) rounds(ctx context.Context, s scenario, all []*running, out *report.Scenario) (failed []error) {
	runs := b.times(s)
	for round := range runs {
		var going []*running
		for _, r := range all {
			if !r.failed {
				going = append(going, r)
			}
		}
		if len(going) == 0 || ctx.Err() != nil {
			break
		}
		progress("%s, run %d of %d%v", s.name, round+1, runs, b.left)
		var got []outcome
		if s.byTurns() {
			got = b.together(ctx, going, round)
		} else {
			got = b.apart(ctx, s, going, round)
		}
		b.left.done += len(going)
		for i, r := range going {
			if err := got[i].err; err != nil {
				failed = append(failed, fmt.Errorf("%s, run %d: %w", r.name, round+1, err))
				out.Skipped = append(out.Skipped, fmt.Sprintf("%s failed in run %d: %s.", r.name, round+1, oneLine(err.Error())))
				r.failed = true
				continue
			}
			c := &out.Contenders[slices.Index(all, r)]
			c.Runs = append(c.Runs, got[i].run)
		}
	}
	return failed
}

// byTurns reports whether the contenders of s can be loaded by turns within a
// run: not where requests fall due at times of their own.
func (s scenario) byTurns() bool { return s.load.Rate == 0 && !s.half && s.idle == 0 }

// times is how often each contender of s is loaded.
func (b *bench) times(s scenario) int { return b.runs * max(1, s.times) }

// oneLine makes an error, which may hold a program's output, part of a sentence.
func oneLine(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	if len(line) > 300 {
		line = line[:100] + " ... " + line[len(line)-200:]
	}
	return strings.TrimSuffix(line, ".")
}

// backends starts them on the load's CPU.
func (b *bench) backends(ctx context.Context) (at peer.Backends, stop func(), err error) {
	ports, err := peer.FreePorts(5)
	if err != nil {
		return at, nil, err
	}
	at = peer.Backends{Site: ports[0], API: ports[1], GRPC: ports[2], TCP: ports[3], UDP: ports[4]}
	argv, err := b.task("backends", load.Listen{
		Site: peer.Local(at.Site), API: peer.Local(at.API), GRPC: peer.Local(at.GRPC), TCP: peer.Local(at.TCP), UDP: peer.Local(at.UDP),
	})
	if err != nil {
		return at, nil, err
	}
	p, err := peer.Launch(b.dir, peer.LoadCPU, []string{"GOMAXPROCS=1"}, argv...)
	if err != nil {
		return at, nil, err
	}
	for _, port := range ports[:4] {
		if err := p.Opened(ctx, peer.Local(port)); err != nil {
			p.Stop()
			return at, nil, err
		}
	}
	return at, p.Stop, nil
}

// start starts a contender, unless it shares the process of one that is there, and
// checks its answers.
func (b *bench) start(ctx context.Context, s scenario, e entry, backends peer.Backends, there []*running) (*running, error) {
	r := &running{entry: e, spec: s.load, shared: s.shared}
	i := slices.IndexFunc(there, func(o *running) bool { return s.shared && o.peer == e.peer })
	if i >= 0 {
		r.process, r.site = there[i].process, there[i].site
		r.address(s)
	} else if err := b.launch(ctx, s, r, backends); err != nil {
		return nil, err
	}
	if err := s.check(ctx, target{r.spec.Address, r.spec.Path, r.spec.Headers}); err != nil {
		r.process.Stop()
		return nil, err
	}
	return r, nil
}

// launch starts a contender's process.
func (b *bench) launch(ctx context.Context, s scenario, r *running, backends peer.Backends) error {
	found, ok := b.contenders[r.peer]
	if !ok {
		return errors.New("it is not there")
	}
	if slices.Contains(found.Lacks, s.needs) {
		return fmt.Errorf("it has no %s", s.needs)
	}
	ports, err := peer.FreePorts(5)
	if err != nil {
		return err
	}
	r.site = peer.Site{
		CPUs: peer.ProxyCPU, Threads: 1, HTTP3: s.needs == peer.HTTP3, HTTP: ports[0], HTTPS: ports[1], TCP: ports[2], UDP: ports[3], Admin: ports[4],
		Backends: backends, Certificate: b.certificate, Program: found.program,
	}
	if s.cpus != "" {
		r.site.CPUs, r.site.Threads = s.cpus, 2
	}
	if r.site.Folder, err = os.MkdirTemp(b.dir, r.peer+"-"); err != nil {
		return err
	}
	if err := os.Chmod(r.site.Folder, 0o755); err != nil {
		return err
	}
	if r.manifests != nil {
		if r.site.Manifests, err = r.manifests(); err != nil {
			return err
		}
	}
	if r.keySet != nil {
		if r.site.KeySet, err = r.keySet(); err != nil {
			return err
		}
	}
	r.address(s)
	if r.churn != nil {
		return b.startChurn(ctx, r)
	}
	r.process, err = found.Start(ctx, r.site)
	return err
}

// address makes the contender's load.
func (r *running) address(s scenario) {
	// A peer that loses requests while it changes is shown with how many.
	r.spec.Lossy = r.churn != nil && r.churn.PerSecond > 0 && r.peer != gatehouse
	port := map[listener]int{toHTTP: r.site.HTTP, toHTTPS: r.site.HTTPS, toTCP: r.site.TCP, toUDP: r.site.UDP}[s.to]
	r.spec.Address, r.spec.Host = peer.Local(port), peer.Host
	if r.path != "" {
		r.spec.Path = r.path
	}
	if r.headers != nil {
		r.spec.Headers = r.headers()
	}
}

// halve sets every load's rate to half of what the first of the same peer can do.
func (b *bench) halve(ctx context.Context, all []*running) error {
	rates := map[string]int{}
	for _, r := range all {
		if rates[r.peer] == 0 {
			spec := r.spec
			spec.Kind = load.Wrk
			t, err := b.load(ctx, spec, 2)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			rates[r.peer] = int(float64(t.Requests) / (float64(t.Microseconds) / 1e6) / 2)
		}
		r.spec.Rate = max(1, rates[r.peer])
	}
	return nil
}

// outcome is one run of one contender.
type outcome struct {
	run report.Run
	err error
}

// apart is one run of each contender, one after the other.
func (b *bench) apart(ctx context.Context, s scenario, all []*running, first int) []outcome {
	out := make([]outcome, len(all))
	for i := range all {
		i = (i + first) % len(all)
		out[i].run, out[i].err = b.once(ctx, s, all[i])
	}
	return out
}

// once is one run of one contender.
func (b *bench) once(ctx context.Context, s scenario, r *running) (run report.Run, err error) {
	if s.idle > 0 {
		connections, err := idle(ctx, r.spec, s.idle)
		defer func() {
			for _, c := range connections {
				c.Close()
			}
		}()
		if err != nil {
			return run, err
		}
	}
	if err := b.warm(ctx, r); err != nil {
		return run, err
	}
	m, err := begin(ctx, r)
	if err != nil {
		return run, err
	}
	began := time.Now()
	t, changes, err := b.changing(ctx, r, b.seconds)
	if err != nil {
		return run, err
	}
	return m.end(t, changes, time.Since(began))
}

// warm loads a contender before anything is measured, once.
func (b *bench) warm(ctx context.Context, r *running) error {
	if r.warm {
		return nil
	}
	_, err := b.load(ctx, r.spec, 1)
	r.warm = err == nil
	return err
}

// measurement is what a contender's process had used when a run began.
type measurement struct {
	*running
	cpu       time.Duration
	used      time.Duration // in the contender's turns, where others have the same process
	allocated func() (int64, error)
}

func begin(ctx context.Context, r *running) (m *measurement, err error) {
	m = &measurement{running: r, allocated: func() (int64, error) { return 0, nil }}
	if !r.shared && (r.peer == gatehouse || r.peer == "other") {
		if m.allocated, err = countMallocs(ctx, peer.Local(r.site.Admin)); err != nil {
			return nil, err
		}
	}
	m.cpu, err = r.process.CPU()
	return m, err
}

// end is the run that a load came to, in so much time that it went on for.
func (m *measurement) end(t load.Totals, changes int, elapsed time.Duration) (run report.Run, err error) {
	m.asked, m.lost = m.asked+t.Requests+t.Failed, m.lost+t.Failed
	after, err := m.process.CPU()
	if err != nil {
		return run, err
	}
	mallocs, err := m.allocated()
	if err != nil {
		return run, err
	}
	if size := answerSize(m.spec); t.Bytes > 0 && t.Bytes < t.Requests*size {
		return run, fmt.Errorf("%d answers had %d bytes together, not %d each", t.Requests, t.Bytes, size)
	}
	memory, err := m.process.Memory()
	n, cpu := float64(t.Requests), after-m.cpu
	if m.shared {
		cpu = m.used
	}
	return report.Run{
		CPU: float64(cpu.Nanoseconds()) / 1000 / n, Rate: n / (float64(t.Microseconds) / 1e6),
		Busy: cpu.Seconds() / elapsed.Seconds() / float64(m.site.Threads),
		P50:  t.P50, P99: t.P99, P999: t.P999, Changes: float64(changes) / elapsed.Seconds(), Memory: float64(memory) / (1 << 20), Allocs: float64(mallocs) / n,
	}, err
}

// answerSize is what an answer's content must have at least.
func answerSize(s load.Spec) int64 {
	if s.Path == load.LargePath {
		return load.LargeSize
	}
	return load.SmallSize
}

// idle opens connections, asks once on each and leaves them open.
func idle(ctx context.Context, s load.Spec, n int) (all []net.Conn, err error) {
	var d net.Dialer
	answer := make([]byte, 4096)
	for range n {
		c, err := d.DialContext(ctx, "tcp", s.Address)
		if err != nil {
			return all, err
		}
		all = append(all, c)
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return all, err
		}
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", s.Path, s.Host); err != nil {
			return all, err
		}
		if got, err := c.Read(answer); err != nil || !bytes.HasPrefix(answer[:got], []byte("HTTP/1.1 200 ")) {
			return all, fmt.Errorf("an idle connection's request was answered %q, %w", answer[:got], err)
		}
	}
	return all, nil
}

// syscalls counts a contender's system calls per unit, in a run of its own, since
// counting costs; 0 where the kernel does not let perf count.
func (b *bench) syscalls(ctx context.Context, r *running) float64 {
	pids := []string{strconv.Itoa(r.process.PID())}
	children, _ := filepath.Glob("/proc/" + pids[0] + "/task/*/children")
	for _, list := range children {
		text, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(text))...)
	}
	counting, stop := context.WithCancel(ctx)
	defer stop()
	c := exec.CommandContext(counting, "perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", strings.Join(pids, ","))
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	c.Stderr = &said
	if c.Start() != nil {
		return 0
	}
	time.Sleep(100 * time.Millisecond)
	t, _, err := b.changing(ctx, r, 1)
	stop()
	_ = c.Wait() // it was interrupted
	found := regexp.MustCompile(`(?m)^(\d+),`).FindSubmatch(said.Bytes())
	if err != nil || found == nil {
		return 0
	}
	calls, _ := strconv.ParseFloat(string(found[1]), 64) // digits only
	return calls / float64(t.Requests)
}
