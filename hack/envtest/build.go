//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// builder builds both programs from a scratch module.
type builder struct {
	source string // the scratch module
	bin    string // where the programs go
	start  time.Time
}

const etcdMain = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`

const toolsFile = `//go:build tools

package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
`

func (b builder) run(ctx context.Context) error {
	b.say("kube-apiserver %s and etcd %s are built from their Go modules, once; about 6 minutes on two cores", kubernetesVersion, etcdVersion)
	if err := os.MkdirAll(filepath.Join(b.source, "etcd"), 0o755); err != nil {
		return err
	}
	module, err := b.module(ctx)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"go.mod": module, "tools.go": toolsFile, "etcd/main.go": etcdMain} {
		if err := os.WriteFile(filepath.Join(b.source, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	version := "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion
	steps := []struct {
		title string
		args  []string
	}{
		{"download modules", []string{"mod", "tidy"}},
		{"build etcd", []string{"build", "-ldflags", "-s -w", "-o", filepath.Join(b.bin, "etcd"), "./etcd"}},
		{"build kube-apiserver", []string{"build", "-ldflags", "-s -w " + version, "-o", filepath.Join(b.bin, "kube-apiserver"), "k8s.io/kubernetes/cmd/kube-apiserver"}},
	}
	for _, step := range steps {
		if err := b.step(ctx, step.title, step.args); err != nil {
			return err
		}
	}
	return nil
}

// module returns the scratch module's go.mod. k8s.io/kubernetes can be imported only if each of its staging modules, which it requires
// at v0.0.0, is replaced by the published one.
func (b builder) module(ctx context.Context) (string, error) {
	cmd := b.goCommand(ctx, "mod", "download", "-json", "k8s.io/kubernetes@"+kubernetesVersion)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("download k8s.io/kubernetes: %w", err)
	}
	var download struct{ GoMod string }
	if err := json.Unmarshal(out, &download); err != nil {
		return "", fmt.Errorf("read go mod download's answer: %w", err)
	}
	goMod, err := os.ReadFile(download.GoMod)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "module scratch\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes %s\n\nrequire go.etcd.io/etcd/server/v3 %s\n\nreplace (\n", kubernetesVersion, etcdVersion)
	// What k8s.io/kubernetes takes from its own staging folder, it requires at v0.0.0.
	staging := regexp.MustCompile(`(?m)^\s*(k8s\.io/[a-z-]+) v0\.0\.0$`)
	for _, match := range staging.FindAllStringSubmatch(string(goMod), -1) {
		fmt.Fprintf(&s, "\t%s => %s %s\n", match[1], match[1], stagingVersion)
	}
	s.WriteString(")\n")
	return s.String(), nil
}

// step runs one go command, and says every half minute that it still runs.
func (b builder) step(ctx context.Context, title string, args []string) error {
	b.say("%s", title)
	cmd := b.goCommand(ctx, args...)
	cmd.Dir = b.source
	done := make(chan struct{})
	var out []byte
	var err error
	go func() {
		defer close(done)
		out, err = cmd.CombinedOutput()
	}()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.say("%s: still at it", title)
		case <-done:
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", title, err, out)
			}
			return nil
		}
	}
}

func (b builder) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="+strings.TrimSpace("-trimpath "+os.Getenv("GOFLAGS")))
	return cmd
}

func (b builder) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "envtest: [%4.0fs] %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}
