package peer

import (
	"context"
	"strconv"
)

const caddyVersion = "v2.10.2"

func caddy() Peer {
	return Peer{
		Name:  "caddy",
		Lacks: []Ability{TCP, UDP},
		find: func(ctx context.Context, may Permission) (string, string, error) {
			program, err := module{"caddy", "github.com/caddyserver/caddy/v2", "github.com/caddyserver/caddy/v2/cmd/caddy", caddyVersion}.build(ctx, may)
			return program, caddyVersion, err
		},
		configuration: "Caddyfile",
		argv: func(s Site, configuration string) []string {
			return []string{s.Program, "run", "--adapter", "caddyfile", "--config", configuration}
		},
		env: caddyEnvironment,
	}
}

// caddyEnvironment is where to keep what would go to the home folder, and one thread of Go
// code, as Gatehouse has.
func caddyEnvironment(s Site) []string {
	return []string{"XDG_DATA_HOME=" + s.Folder, "XDG_CONFIG_HOME=" + s.Folder, "GOMAXPROCS=" + strconv.Itoa(s.Threads)}
}
