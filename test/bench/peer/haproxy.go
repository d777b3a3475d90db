package peer

import "context"

func haproxy() Peer {
	return Peer{
		Name:  "haproxy",
		Lacks: []Ability{UDP, HTTP3},
		find: func(ctx context.Context, may Permission) (string, string, error) {
			if err := Need(ctx, may, "haproxy", "haproxy"); err != nil {
				return "", "", err
			}
			v, err := version(ctx, `(?i)haproxy version (\S+)`, "haproxy", "-v")
			return "haproxy", v, err
		},
		configuration: "haproxy.cfg",
		// -db: in the foreground, one process.
		argv: func(s Site, configuration string) []string {
			return []string{s.Program, "-db", "-f", configuration}
		},
	}
}
