package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Permission is how far Find may go.
type Permission struct {
	Install bool   // Debian packages, as root
	Cache   string // folder for what is built or downloaded; "" for nothing of the kind
	Say     func(format string, args ...any)
}

// Need finds a program, or installs the Debian packages given if it may. The
// error is a sentence that says what to do.
func Need(ctx context.Context, may Permission, program string, packages ...string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	return debian(ctx, may, program, packages...)
}

func debian(ctx context.Context, may Permission, program string, packages ...string) error {
	_, noApt := exec.LookPath("apt-get")
	if !may.Install || noApt != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is not installed; install %s, or run as root on Debian or Ubuntu", program, strings.Join(packages, " and "))
	}
	may.Say("installing %s with apt-get", strings.Join(packages, " and "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		c := exec.CommandContext(ctx, "apt-get", args...)
		// RUNLEVEL=1 keeps the package from starting a service.
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out[max(0, len(out)-500):])
		}
	}
	return nil
}

// version is what a pattern's first group finds in what a program says.
func version(ctx context.Context, pattern string, argv ...string) (string, error) {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s does not say its version", strings.Join(argv, " "))
	}
	return string(found[1]), nil
}

// module is another project's, and its main package.
type module struct {
	name, path, pkg, version string
}

// build builds a module's main package into the cache, once for each version.
func (m module) build(ctx context.Context, may Permission) (string, error) {
	name, version := m.name, m.version
	path := filepath.Join(may.Cache, name+"-"+version)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if may.Cache == "" {
		return "", fmt.Errorf("%s is left out: nothing may be built", name)
	}
	source, err := os.MkdirTemp("", "bench-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(source)
	may.Say("building %s %s (a few minutes, once)", name, version)
	files := map[string]string{
		"go.mod":   "module scratch\n\ngo 1.26.0\n\nrequire " + m.path + " " + version + "\n",
		"tools.go": "//go:build tools\n\npackage tools\n\nimport _ \"" + m.pkg + "\"\n",
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(source, file), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	unfinished := path + ".unfinished"
	for _, args := range [][]string{{"mod", "tidy"}, {"build", "-trimpath", "-ldflags", "-s -w", "-o", unfinished, m.pkg}} {
		c := exec.CommandContext(ctx, "go", args...)
		c.Dir, c.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s cannot be built: go %s: %w: %s", name, args[0], err, lastLine(out))
		}
	}
	return path, os.Rename(unfinished, path)
}

// lastLine is the end of what a program said.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
