package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gateway is `gatehouse standalone --demo` on the quickstart, as a process of
// its own on free ports.
type gateway struct {
	program string
	folder  string // its manifests
	guide   string
	ports   *strings.Replacer // from those the pages name to those it listens on
	errs    *buffer
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// freePorts are ports that nobody listened on a moment ago.
func freePorts(t *testing.T, n int) (out []string) {
	t.Helper()
	for tries := 0; len(out) < n; tries++ {
		// Below the range that outgoing connections take theirs from: of those one
		// may be taken again before the gateway binds it.
		port := strconv.Itoa(10000 + rand.IntN(20000))
		ln, err := net.Listen("tcp", ":"+port)
		if err != nil {
			if tries > 100 {
				t.Fatal(err)
			}
			continue
		}
		defer func() { _ = ln.Close() }()
		out = append(out, port)
	}
	return out
}

// built is the program, once a test has asked for it.
var built struct {
	once    sync.Once
	folder  string
	program string
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.folder != "" {
		_ = os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

// build builds the program for all tests.
func build(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		var err error
		if built.folder, err = os.MkdirTemp("", "gatehouse-docs-"); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(built.folder, "gatehouse")
		goCommand(t, "build", "-o", program, "./cmd/gatehouse")
		built.program = program
	})
	if built.program == "" {
		t.Fatal("the program could not be built")
	}
	return built.program
}

// serve starts a gateway, waits for its guide, and stops it when the test ends.
func serve(t *testing.T) *gateway {
	t.Helper()
	p := freePorts(t, 4)
	g := &gateway{program: build(t), errs: &buffer{}, ports: strings.NewReplacer("8080", p[0], "8443", p[1], "9902", p[2], "9901", p[3])}
	folder := t.TempDir()
	g.folder = folder
	files, err := filepath.Glob(root + "/config/samples/quickstart/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d manifests of the quickstart: %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), []byte(g.ports.Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(g.program, "standalone", "-f", folder, "--demo", "--admin-address", "127.0.0.1:"+p[3], "--drain-delay", "-1s")
	out := &buffer{}
	c.Stdout, c.Stderr = out, g.errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("gatehouse ended with %v:\n%s", err, g.errs)
			}
		case <-time.After(20 * time.Second):
			_ = c.Process.Kill()
			t.Errorf("gatehouse did not end:\n%s", g.errs)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "Ctrl-C"); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("gatehouse ended at once: %v\n%s", err, g.errs)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("gatehouse printed no guide:\n%s%s", out, g.errs)
		}
	}
	g.guide = out.String()
	return g
}

// shell runs a command as a person would, in root, and returns what it prints.
func shell(t *testing.T, command string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", command)
	c.Dir = root
	out, err := c.Output()
	return string(out), err
}

// compact leaves out blanks, so that JSON compares however it is indented.
func compact(s string) string {
	return strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace(s)
}

var (
	statusLine = regexp.MustCompile(`(?m)^HTTP/[0-9.]+ ([0-9]{3})`)
	promise    = regexp.MustCompile(`^([0-9]{3}) (.+)$`)
	shares     = regexp.MustCompile(`"[a-z-]+"|[0-9]+`)
)

func TestGuideKeepsItsPromises(t *testing.T) {
	g := serve(t)
	lines := strings.Split(g.guide, "\n")
	if len(lines) > 50 {
		t.Errorf("the guide has %d lines; it is to fit a screen", len(lines))
	}
	assigned, kept := "", 0
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "TOKEN=") {
			assigned = line + "; "
		}
		if !strings.HasPrefix(line, "curl ") && !strings.HasPrefix(line, "for ") {
			continue
		}
		want, ok := strings.CutPrefix(strings.TrimSpace(lines[i+1]), "-> ")
		if !ok {
			t.Errorf("the guide does not say what this answers: %s", line)
			continue
		}
		out, err := shell(t, assigned+line)
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		kept++
		if m := promise.FindStringSubmatch(want); m == nil {
			split(t, out, want)
		} else if s := statusLine.FindStringSubmatch(out); s == nil || s[1] != m[1] || !strings.Contains(compact(out), compact(m[2])) {
			t.Errorf("%s\nis to answer %s, and answers\n%s", line, want, out)
		}
	}
	if kept < 10 {
		t.Errorf("the guide has %d commands:\n%s", kept, g.guide)
	}
}

// split checks `about 90 "api", 10 "api-canary"` against what uniq -c counted.
// Of a hundred requests fewer than 70 or more than 99 come once in 35,000 runs.
func split(t *testing.T, out, want string) {
	t.Helper()
	counts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		fields := strings.Fields(strings.NewReplacer(`"service":`, "", ",", "").Replace(line))
		if len(fields) != 2 {
			t.Fatalf("not what uniq -c prints: %q", line)
		}
		counts[fields[1]], _ = strconv.Atoi(fields[0])
	}
	words := shares.FindAllString(want, -1)
	if len(words) != 4 || counts[words[1]]+counts[words[3]] != 100 || counts[words[1]] < 70 || counts[words[1]] > 99 {
		t.Errorf("counted %v, promised %s", counts, want)
	}
}

// edit replaces text in a manifest, as an editor does: the file is renamed.
func (g *gateway) edit(t *testing.T, name, old, new string) {
	t.Helper()
	at := filepath.Join(g.folder, name)
	text, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(at+"~", []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at+"~", at); err != nil {
		t.Fatal(err)
	}
}

func TestEditsAreServedAndBrokenOnesRefused(t *testing.T) {
	g := serve(t)
	status := func(path string) int {
		t.Helper()
		a, err := http.Get(g.ports.Replace("http://localhost:8080") + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		return a.StatusCode
	}
	within := func(limit time.Duration, what string, done func() bool) {
		t.Helper()
		start := time.Now()
		for !done() {
			if time.Since(start) > limit {
				t.Fatalf("%s: not within %s\n%s", what, limit, g.errs)
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("%s after %s", what, time.Since(start).Round(time.Millisecond))
	}
	if got := status("/partners"); got != 401 {
		t.Fatalf("/partners answers %d before the edit", got)
	}
	g.edit(t, "routes.yaml", "value: /partners", "value: /friends")
	within(5*time.Second, "an edit is served", func() bool { return status("/friends") == 401 && status("/partners") == 200 })

	g.edit(t, "routes.yaml", "value: /friends", "vale: /partners")
	within(5*time.Second, "a broken edit is refused", func() bool {
		return strings.Contains(g.errs.String(), "routes.yaml:") && strings.Contains(g.errs.String(), "spec.rules[0].matches[0].path.vale: unknown field; did you mean value?")
	})
	if got := status("/friends"); got != 401 {
		t.Errorf("/friends answers %d once a broken edit was refused", got)
	}
}

func TestMetricsServedAreTold(t *testing.T) {
	g := serve(t)
	if out, err := shell(t, g.ports.Replace("curl -s http://localhost:8080/ http://localhost:8080/partners")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, err := http.Get(g.ports.Replace("http://127.0.0.1:9901/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	told := page(t, "docs/metrics.md")
	series := regexp.MustCompile(`(?m)^# TYPE (gatehouse_\w+) (\w+)$`).FindAllStringSubmatch(string(body), -1)
	if len(series) < 10 {
		t.Fatalf("only %d series are served:\n%s", len(series), body)
	}
	for _, s := range series {
		if !strings.Contains(told, fmt.Sprintf("| `%s` | %s |", s[1], s[2])) {
			t.Errorf("docs/metrics.md does not tell of %s, a %s", s[1], s[2])
		}
	}
}

func TestCommandsOfThePagesWork(t *testing.T) {
	g := serve(t)
	ran := 0
	for _, name := range pages(t) {
		all := blocks(t, name)
		for i, b := range all {
			if b.language != "sh" {
				continue
			}
			var out strings.Builder
			for _, command := range strings.Split(strings.TrimSpace(b.text), "\n") {
				said, err := g.try(t, strings.TrimSpace(command))
				if err != nil {
					t.Errorf("%s:%d: %s: %v\n%s", name, b.line, command, err, said)
				}
				out.WriteString(said)
				ran++
			}
			if i+1 < len(all) && all[i+1].language == "text" && all[i+1].line < b.line+6+strings.Count(b.text, "\n") {
				printed(t, all[i+1], out.String())
			}
		}
	}
	if ran < 12 {
		t.Errorf("the pages have %d commands", ran)
	}
}

// printed checks that the lines of a block were printed, in this order; "..."
// stands for what is left out.
func printed(t *testing.T, b block, out string) {
	t.Helper()
	rest := out
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		if line = strings.TrimSpace(line); line == "..." {
			continue
		}
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Errorf("%s:%d: this is not printed, or not here: %s\nprinted is\n%s", b.page, b.line, line, out)
			return
		}
		rest = after
	}
}

// asks are the commands that ask a gateway, or with -f manifests, and end.
var asks = regexp.MustCompile(`^\S+ (why|explain|exposure|key|migrate) `)

var paths = regexp.MustCompile(` -[kf] (\S+)`)

// try runs a command of a page, as far as it can be run here.
func (g *gateway) try(t *testing.T, command string) (string, error) {
	t.Helper()
	words := strings.Fields(command)
	switch words[0] {
	case "curl":
		return shell(t, g.ports.Replace(command))
	case "printf":
		return shell(t, "set -o pipefail; "+command)
	case "make":
		return shell(t, "make -n "+strings.Join(words[1:], " "))
	case "git":
		if command != "git clone https://github.com/gatehouse-dev/gatehouse && cd gatehouse" {
			return "", fmt.Errorf("a git command that no test knows")
		}
		return "", nil
	case "helm":
		return "", installs(t, words)
	case "kubectl":
		for _, m := range paths.FindAllStringSubmatch(command, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1], "kustomization.yaml")); err != nil {
				return "", err
			}
		}
		return "", nil
	}
	if words[0] == "bin/cluster" {
		return shell(t, "go run ./hack/cluster help "+words[1])
	}
	// The ports first: the digits of one may stand in the name of the program's
	// folder, which is made up anew for each run.
	program := strings.NewReplacer("go run ./cmd/gatehouse", g.program, "bin/gatehouse", g.program)
	live := "GATEHOUSE_ADMIN_ADDRESS=" + g.ports.Replace("127.0.0.1:9901") + " " + program.Replace(g.ports.Replace(command))
	command = program.Replace(command)
	switch {
	case !strings.HasPrefix(command, g.program+" "):
		return "", fmt.Errorf("a command that no test knows how to run")
	case asks.MatchString(command) && !strings.Contains(command, " -f ") && !strings.Contains(command, " key "):
		return shell(t, live)
	case asks.MatchString(command):
		return shell(t, command)
	case strings.HasPrefix(command, g.program+" table"):
		return shell(t, command+" 2>&1 || [ $? = 1 ]") // 1: a manifest is at fault, and the page shows which
	}
	return shell(t, command+" --help") // it would serve for ever; flags are parsed all the same
}
