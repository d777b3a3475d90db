package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const classed = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ours}
spec: {controllerName: gatehouse.dev/gateway-controller}
`

// TestTableOfNobody: manifests of which nothing is ours are no fault, and said to be so.
func TestTableOfNobody(t *testing.T) {
	for in, said := range map[string]bool{classed: false, strings.Replace(classed, "name: ours", "name: another", 1): true} {
		file := filepath.Join(t.TempDir(), "m.yaml")
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		c := New(&out, &errs)
		c.SetArgs([]string{"table", "-f", file})
		if err := c.Execute(); err != nil {
			t.Errorf("%v\n%s", err, &errs)
		}
		if got := strings.Contains(errs.String(), "controllerName gatehouse.dev/gateway-controller"); got != said {
			t.Errorf("said %v, want %v:\n%s%s", got, said, &out, &errs)
		}
	}
}

// TestTableLists: programs go through the lists of the result, which are there when they are empty.
func TestTableLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(classed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := run(t, "table", "-f", file, "-o", "json")
	if err != nil {
		t.Fatal(err, errs)
	}
	if strings.Contains(out, "null") {
		t.Error(out)
	}
}
