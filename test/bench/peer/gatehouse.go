package peer

import (
	"context"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// Gatehouse is the program that was built, at a path, under the name given.
func Gatehouse(name, program string) Peer {
	return Peer{
		Name: name,
		find: func(ctx context.Context, _ Permission) (string, string, error) {
			v, err := version(ctx, `(?i)^gatehouse (\S+)`, program, "version")
			return program, v, err
		},
		configuration: "gatehouse.yaml",
		// As a user starts it, but that it ends at once when it is told to.
		argv: func(s Site, configuration string) []string {
			return []string{
				s.Program, "standalone", "--filename", filepath.Dir(configuration),
				"--admin-address", Local(s.Admin), "--drain-delay", "-1s",
			}
		},
		env: func(s Site) []string { return []string{"GOMAXPROCS=" + strconv.Itoa(s.Threads)} },
	}
}

// Service is a backend as gatehouse.yaml writes it.
type Service struct {
	Name, Protocol, AppProtocol string
	Port                        int
}

// Services are the backends as Services.
func (s Site) Services() []Service {
	return []Service{
		{"site", "TCP", "", s.Backends.Site},
		{"api", "TCP", "", s.Backends.API},
		{"grpc", "TCP", "kubernetes.io/h2c", s.Backends.GRPC},
		{"tcp", "TCP", "", s.Backends.TCP},
		{"udp", "UDP", "", s.Backends.UDP},
	}
}

// Manifests are all that Gatehouse serves, by file name.
func Manifests(s Site) (map[string]string, error) {
	t, err := template.ParseFS(configurations, "gatehouse.yaml")
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := t.Execute(&text, s); err != nil {
		return nil, err
	}
	all := map[string]string{"gatehouse.yaml": text.String()}
	maps.Copy(all, s.Manifests)
	return all, nil
}
