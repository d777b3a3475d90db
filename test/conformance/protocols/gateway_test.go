package protocols

import (
	"encoding/pem"
	"fmt"
	"net"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// build makes a program of a suite's and returns where it is.
func build(t *testing.T, program string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), path.Base(program))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", at, program).CombinedOutput()
	if err != nil {
		t.Fatalf("%s cannot be built: %v\n%s", program, err, out)
	}
	return at
}

// port is where a listener of w is reached, "shop/edge/http" if it has no name.
func port(t *testing.T, w *feature.World, listener string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(w.Addr(listener))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// objects lead from a listener as a suite wants it to the backend.
func objects(want wanted, backend string) string {
	host, port, _ := net.SplitHostPort(backend)
	protocol := "http"
	if want.version > http1 {
		protocol = "kubernetes.io/h2c"
	}
	listener, more, frontend := "{name: http, protocol: HTTP, port: 80}", "", ""
	if want.tls {
		options := ""
		if want.version == http3 {
			options = ", options: {gatehouse.dev/http3: Enabled}"
		}
		listener = "{name: http, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: server}]" + options + "}}"
		more = fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: server, namespace: shop}\nstringData: {tls.crt: %q, tls.key: %q}\n---\n", want.cert, want.key)
	}
	if block, _ := pem.Decode(want.clients); block != nil {
		frontend = "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}]}}}}\n"
		more += fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: clients, namespace: shop}\ndata: {ca.crt: %q}\n---\n", want.clients)
	}
	return feature.Base + strings.Replace(feature.Gateway("edge", listener), "spec:\n", "spec:\n"+frontend, 1) + more + fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: suite, namespace: shop, annotations: {test/endpoints: none}}
spec: {ports: [{name: rpc, port: 80, appProtocol: %s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: suite-1, namespace: shop, labels: {kubernetes.io/service-name: suite}}
addressType: IPv4
endpoints: [{addresses: [%s], conditions: {ready: true}}]
ports: [{name: rpc, port: %s}]
---
`, protocol, host, port) + feature.Route("suite", "{backendRefs: [{name: suite, port: 80}]}")
}
