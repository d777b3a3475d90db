package peer

import (
	"context"
	"os"
)

// streamModule is where Debian puts what relays TCP and UDP; nginx loads it at run time.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

func nginx() Peer {
	return Peer{
		Name:  "nginx",
		Lacks: []Ability{HTTP3},
		find: func(ctx context.Context, may Permission) (string, string, error) {
			if err := Need(ctx, may, "nginx", "nginx", "libnginx-mod-stream"); err != nil {
				return "", "", err
			}
			if _, err := os.Stat(streamModule); err != nil {
				if err := debian(ctx, may, "nginx's stream module", "libnginx-mod-stream"); err != nil {
					return "", "", err
				}
			}
			v, err := version(ctx, `nginx/(\S+)`, "nginx", "-v")
			return "nginx", v, err
		},
		configuration: "nginx.conf",
		argv: func(s Site, configuration string) []string {
			return []string{s.Program, "-p", s.Folder, "-c", configuration}
		},
	}
}
