package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/demo"
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

// TestExposureOfNobody: where nothing is served there is nothing to list, which must not look as if all were closed.
func TestExposureOfNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(classed, "name: ours", "name: another", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := run(t, "exposure", "-f", file); err != nil || !strings.Contains(errs, "nothing is served") {
		t.Error(err, errs)
	}
	if _, errs, err := run(t, "explain", "GET", "http://a/", "-f", file, "--jwt-claims", "[1]"); err == nil || strings.Contains(err.Error()+errs, "Go value") {
		t.Error(err, errs)
	}
}

// TestTableOfNothing: a folder in which no file is read is most likely another than the one that was meant.
func TestTableOfNothing(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "shop.yaml.txt"), []byte(classed), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "nothing is served: there is no file whose name ends in .yaml, .yml or .json in "
	if _, errs, err := run(t, "table", "-f", folder); err != nil || errs != want+folder+"\n" {
		t.Errorf("%v %q", err, errs)
	}
}

// TestExplainOfNoConnection: what fails in the TLS handshake has no answer, and no policy is asked.
func TestExplainOfNoConnection(t *testing.T) {
	manifests := strings.Replace(classed, "listeners: [{name: http, port: 80, protocol: HTTP}]", `tls: {frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}},
  listeners: [{name: https, port: 443, protocol: HTTPS, hostname: shop.example, tls: {certificateRefs: [{name: shop}]}}]`, 1)
	d, err := demo.Pretend(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	certificate, key := d.Certificate()
	manifests += "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop, namespace: shop}\ntype: kubernetes.io/tls\nstringData:\n" +
		fmt.Sprintf("  tls.crt: %q\n  tls.key: %q\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: shop}\ndata: {ca.crt: %q}\n", certificate, key, certificate)
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"https://shop.example/":  "listener shop/web/https takes nobody without a client certificate (spec.tls.frontend of the Gateway); give one by --client-cert",
		"https://other.example/": "no listener has the server name other.example",
	} {
		out, errs, err := run(t, "explain", "GET", url, "-f", file)
		if err != nil || !strings.HasPrefix(out, "gateway shop/web: no connection, for the TLS handshake fails: "+want+"\n") {
			t.Errorf("%s: %v %s\n%s", url, err, errs, out)
		}
	}
	for url, want := range map[string]string{"https://a/%zz": `no URL: invalid URL escape "%zz"`, "ftp://a/": "no absolute URL of http or https"} {
		if _, errs, err := run(t, "explain", "GET", url, "-f", file); err == nil || !strings.Contains(err.Error()+errs, want) {
			t.Errorf("%s: %v %s", url, err, errs)
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

const reached = classed + `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: open, namespace: shop}
spec: {parentRefs: [{name: web}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: a.example}}]}]}
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: all, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]
  requireAuth: true
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: lost, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: gone, sectionName: a}]
  rules: {authentication: {a: {anonymous: {}}}}
`

// TestTableOfPolicies: what policies put into the statuses of others is there too, and a target that is not there is named.
func TestTableOfPolicies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(reached), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, _ := run(t, "table", "-f", file)
	for _, want := range []string{
		"status Gateway shop/web: gatehouse.dev/AuthPolicyAffected=True PolicyAffected affected by AuthPolicy shop/all",
		"status HTTPRoute shop/open parent shop/web: gatehouse.dev/Guarded=False AuthenticationRequired AuthPolicy shop/all requires",
		"status AuthPolicy shop/lost ancestor HTTPRoute shop/gone a: Accepted=False TargetNotFound",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// TestNotesOnUnguardedRules: a route that a policy leaves out for want of authentication is no fault, and is told of.
func TestNotesOnUnguardedRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(strings.SplitAfter(reached, "requireAuth: true\n")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := run(t, "table", "-f", file, "-o", "json")
	if err != nil || !strings.Contains(out, `"message": "AuthPolicy shop/all requires authentication, and some rules ask for none: they answer 403.`) {
		t.Error(err, errs, out)
	}
	if _, errs, _ = run(t, "table", "-f", file); !strings.Contains(errs, "note: "+file+":11: HTTPRoute shop/open: AuthPolicy shop/all requires authentication") {
		t.Error(errs)
	}
}

// TestNotesOnMissingSecrets: what a policy lacks is no fault, since Secrets are in no repository, and is told of.
func TestNotesOnMissingSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.yaml")
	text := strings.Replace(reached, "requireAuth: true\n", "rules: {authentication: {people: {basic: {secretRef: {name: none}}}}}\n", 1)
	if err := os.WriteFile(file, []byte(strings.SplitAfter(text, "name: none}}}}}\n")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, err := run(t, "table", "-f", file)
	if err != nil || !strings.Contains(errs, "AuthPolicy shop/all: authentication/people: Secret shop/none does not exist; requests that need this are answered 503") {
		t.Error(err, errs)
	}
}

// TestTableTellsAllFaults: what cannot be read hides no fault elsewhere, and makes up none.
func TestTableTellsAllFaults(t *testing.T) {
	faulty := reached + `---
apiVersion: v1
kind: Service
metadata: {name: site, namespace: shop}
spec: {prots: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: site, namespace: shop}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: site, port: 80}]}]}
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: odd, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: site}]
  rules: {authorization: {a: {cel: request.pth == '/'}}}
`
	file := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(file, []byte(faulty), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := run(t, "table", "-f", file)
	for _, want := range []string{"Service shop/site: ", "AuthPolicy shop/odd: spec.rules.authorization"} {
		if err == nil || !strings.Contains(errs, want) {
			t.Errorf("%q is not in\n%s\n%v", want, errs, err)
		}
	}
	if strings.Contains(errs, "HTTPRoute") || strings.Contains(errs, "gone") || out != "" {
		t.Errorf("%s\n%s", out, errs)
	}
}
