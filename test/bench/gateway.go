package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// host is what the measured requests ask for.
const host = "bench.example.com"

// gateway is gatehouse under way.
type gateway struct {
	*process
	addr  string // of its listener
	admin string
	dir   string // its manifests
}

// startGateway serves manifests on the CPU given (negative: any), as a user
// would, but for the number of threads that run Go code at a time.
func startGateway(ctx context.Context, b *bench, cpu int, port int, files map[string]string) (*gateway, error) {
	dir, err := os.MkdirTemp(b.dir, "manifests-")
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	admin, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	g := &gateway{addr: local(port), admin: local(admin[0]), dir: dir}
	var env []string
	if cpu >= 0 {
		env = []string{"GOMAXPROCS=1"}
	}
	g.process, err = launch(b.dir, cpu, env, b.binary, "standalone", "--filename", dir, "--admin-address", g.admin, "--drain-delay", "-1s")
	if err != nil {
		return nil, err
	}
	if err := g.opened(ctx, g.addr); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// gatewayManifest is a Gateway that listens on port, and the two backends.
func gatewayManifest(port int, backends []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Namespace
metadata: {name: bench}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: bench}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: http, protocol: HTTP, port: %d}
`, port)
	for i, name := range backendNames() {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: bench}
spec:
  ports: [{name: http, port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: %[1]s-1
  namespace: bench
  labels: {kubernetes.io/service-name: %[1]s}
addressType: IPv4
ports: [{name: http, port: %[2]d, protocol: TCP}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
`, name, backends[i])
	}
	return b.String()
}

// splitManifest is a route which sends one path prefix to one backend and all
// the rest to the other.
func splitManifest() string {
	return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split, namespace: bench}
spec:
  parentRefs: [{name: web}]
  hostnames: [` + host + `]
  rules:
  - matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{name: api, port: 8080}]
  - backendRefs: [{name: site, port: 8080}]
`
}

// routeManifest is a route of its own for one path prefix.
func routeManifest(name, hostname, prefix string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: bench}
spec:
  parentRefs: [{name: web}]
  hostnames: [%s]
  rules:
  - matches: [{path: {type: PathPrefix, value: %s}}]
    backendRefs: [{name: api, port: 8080}]
`, name, hostname, prefix)
}

// manyRoutes is n routes in files of a hundred, ten routes to a host.
func manyRoutes(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("routes-%03d.yaml", i/100)
		files[name] += "---\n" + routeManifest(fmt.Sprintf("old-%d", i), fmt.Sprintf("host-%d.example.com", i/10), fmt.Sprintf("/old/%d", i))
	}
	return files
}
