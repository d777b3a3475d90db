// Package peer runs the proxies that the benchmarks compare, Gatehouse among
// them: one file for each says how it is had, configured and started. Beside it
// lies its configuration, a template that fills in ports and paths and says why
// each line is fair. test/bench calls it; it calls apt-get, pip and go where a
// program is missing.
package peer

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Host is what the measured requests ask for.
const Host = "bench.example.com"

// Site is what every proxy is configured to do. Requests for Host go by path: /api to
// one backend, /bench.Echo to the gRPC backend, all others to a third; any other
// host is not found. Bytes that come to the ports TCP and UDP are passed on.
type Site struct {
	Folder string // its own, for configuration and logs
	CPUs   string // that it may run on
	// Threads of work, as many as CPUs.
	Threads int
	// Ports it listens on, on 127.0.0.1. HTTPS speaks HTTP/1.1 and HTTP/2.
	HTTP, HTTPS, TCP, UDP, Admin int
	// HTTP3 has it speak HTTP/3 beside HTTPS, and say so in Alt-Svc: only where that
	// is measured.
	HTTP3       bool
	Backends    Backends
	Certificate Certificate
	// KeySet is the JWK set of tokens that requests for /api-claims need, with scope
	// orders.read; "" where that is not measured.
	KeySet string
	// Manifests are what Gatehouse serves beside gatehouse.yaml, by file name.
	Manifests map[string]string
	// Program is the path of the peer's own.
	Program string
}

// Backends are the ports that the proxies forward to.
type Backends struct {
	Site, API, GRPC, TCP, UDP int
}

// Ability is something not every peer can do.
type Ability string

// Abilities.
const (
	GRPC      Ability = "gRPC"
	WebSocket Ability = "WebSocket"
	TCP       Ability = "TCP relay"
	UDP       Ability = "UDP relay"
	HTTP3     Ability = "HTTP/3"
)

// Peer is a proxy that can be measured.
type Peer struct {
	Name  string
	Lacks []Ability
	// find returns the path of its program and its version. It installs or builds
	// it first if it must and may. The error is a sentence that says what is missing.
	find func(ctx context.Context, may Permission) (program, version string, err error)
	// configuration is a template, among configurations.
	configuration string
	// argv starts it. The configuration is at the path given.
	argv func(s Site, configuration string) []string
	env  func(s Site) []string
}

//go:embed nginx.conf haproxy.cfg envoy.yaml Caddyfile gatehouse.yaml
var configurations embed.FS

// Others are the peers of Gatehouse, in the order of the reports.
func Others() []Peer { return []Peer{nginx(), haproxy(), envoy(), caddy(), traefik()} }

// Find returns the path of the peer's program and its version.
func (p Peer) Find(ctx context.Context, may Permission) (program, version string, err error) {
	return p.find(ctx, may)
}

// Start configures and starts the peer, and waits until it listens.
func (p Peer) Start(ctx context.Context, s Site) (*Process, error) {
	configuration, err := p.configure(s)
	if err != nil {
		return nil, err
	}
	var env []string
	if p.env != nil {
		env = p.env(s)
	}
	started, err := Launch(s.Folder, s.CPUs, env, p.argv(s, configuration)...)
	if err != nil {
		return nil, err
	}
	for _, port := range []int{s.HTTP, s.HTTPS} {
		if err := started.Opened(ctx, Local(port)); err != nil {
			started.Stop()
			return nil, err
		}
	}
	return started, nil
}

// configure fills in the template; it returns the path of the outcome.
func (p Peer) configure(s Site) (string, error) {
	t, err := template.ParseFS(configurations, p.configuration)
	if err != nil {
		return "", err
	}
	// nginx's worker has given up root when it opens files.
	if err := os.MkdirAll(filepath.Join(s.Folder, "conf"), 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(s.Folder, "conf", p.configuration)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := t.Execute(f, s); err != nil {
		return "", fmt.Errorf("%s: %w", p.configuration, err)
	}
	for name, text := range s.Manifests {
		if err := os.WriteFile(filepath.Join(s.Folder, "conf", name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return path, nil
}
