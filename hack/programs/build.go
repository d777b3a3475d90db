//go:build unix

package programs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/hack/progress"
)

// build builds some of the set's programs into the folder. Each appears whole or not at all.
func (s set) build(ctx context.Context, log progress.Log, folder string, some []program) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	source, err := os.MkdirTemp(folder, "source-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	if err := log.Step("download the modules of "+s.folder, func() error { return s.prepare(ctx, source) }); err != nil {
		return err
	}
	for _, p := range some {
		unfinished := filepath.Join(source, p.name+".out")
		err := log.Step("build "+p.name, func() error {
			return run(goCommand(ctx, source, "build", "-tags", p.tags, "-ldflags", p.ldflags(), "-o", unfinished, p.source()))
		})
		if err != nil {
			return err
		}
		if err := os.Rename(unfinished, filepath.Join(folder, p.name)); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes the scratch module.
func (s set) prepare(ctx context.Context, source string) error {
	var module, tools strings.Builder
	module.WriteString("module scratch\n\ngo 1.26.0\n")
	for _, r := range s.requires {
		fmt.Fprintf(&module, "\nrequire %s\n", r)
	}
	if s.staging {
		replaced, err := staging(ctx)
		if err != nil {
			return err
		}
		module.WriteString(replaced)
	}
	tools.WriteString("//go:build tools\n\npackage tools\n")
	files := map[string]string{}
	for _, p := range s.programs {
		if p.main != "" {
			files[filepath.Join(p.name, "main.go")] = p.main
		} else {
			fmt.Fprintf(&tools, "\nimport _ %q\n", p.pkg)
		}
	}
	files["go.mod"], files["tools.go"] = module.String(), tools.String()
	for name, text := range files {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return run(goCommand(ctx, source, "mod", "tidy"))
}

// staging returns the replace lines of k8s.io/kubernetes' staging modules. It requires them at v0.0.0 and can be imported only if each is
// replaced by the published one.
func staging(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, os.TempDir(), "mod", "download", "-json", "k8s.io/kubernetes@"+KubernetesVersion).Output()
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
	required := regexp.MustCompile(`(?m)^\s*(k8s\.io/[a-z-]+) v0\.0\.0$`)
	for _, match := range required.FindAllStringSubmatch(string(goMod), -1) {
		fmt.Fprintf(&s, "\nreplace %s => %s %s\n", match[1], match[1], stagingVersion)
	}
	return s.String(), nil
}

func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="+strings.TrimSpace("-trimpath "+os.Getenv("GOFLAGS")))
	return cmd
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
