package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/controllers/migrate"
)

const migratable = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}}
spec: {ingressClassName: nginx, defaultBackend: {service: {name: api, port: {number: 80}}}}
`

// migrated runs the command on standard input.
func migrated(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	c := New(&o, &e)
	c.SetIn(strings.NewReader(in))
	c.SetArgs(append([]string{"migrate"}, args...))
	return ExitCode(c.Execute()), o.String(), e.String()
}

func TestMigrateExitCodes(t *testing.T) {
	f := func(name, in string, want int, wantErr string, args ...string) {
		t.Helper()
		code, _, errs := migrated(t, in, args...)
		if code != want || !strings.Contains(errs, wantErr) {
			t.Errorf("%s: %d, want %d:\n%s", name, code, want, errs)
		}
	}
	f("carried", migratable, 0, "Ingress shop/web: ssl-redirect: carried\n", "-f", "-")
	f("not carried", strings.Replace(migratable, "ssl-redirect", "limit-rps", 1), 3, "not carried: there is no rate limit", "-f", "-")
	f("another class", migratable, 1, `no Ingress of class "gatehouse" was found; there are some of "nginx"`, "-f", "-", "--ingress-class", "gatehouse")
	f("none at all", "", 1, "no Ingress was found", "-f", "-")
	f("no namespace", migratable, 1, "write namespace/name", "-f", "-", "--gateway", "Infra_/edge")
	f("its class", migratable, 0, "", "-f", "-", "--ingress-class", "nginx")
	f("a fault", strings.Replace(migratable, "spec:", "sepc:", 1), 1, "unknown field", "-f", "-")
	f("no YAML", "a: b: c", 1, "not valid YAML", "-f", "-")
	f("no name", migratable, 1, "write namespace/name", "-f", "-", "--gateway", "edge")
	f("no form", migratable, 1, "use yaml or json", "-f", "-", "-o", "text")
	f("no report", migratable, 1, "use text or json", "-f", "-", "--report", "yaml")
	f("no file", "", 1, "no such file", "-f", "gone.yaml")
}

// What kubectl get prints is a list.
func TestMigrateReadsLists(t *testing.T) {
	list := "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(migratable), "\n", "\n  ") + "\n"
	_, one, _ := migrated(t, migratable, "-f", "-")
	if code, out, errs := migrated(t, list, "-f", "-"); code != 0 || out != one || !strings.Contains(out, "kind: HTTPRoute") {
		t.Errorf("%d %s%s", code, errs, out)
	}
}

func TestMigrateWrites(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "out")
	code, out, errs := migrated(t, migratable, "-f", "-", "--output-dir", folder, "--gateway", "infra/edge", "--report", "json")
	var account []migrate.Entry
	if err := json.Unmarshal([]byte(errs), &account); err != nil || code != 0 || out != "" || len(account) != 2 {
		t.Errorf("%d %v %q %s", code, err, out, errs)
	}
	for name, kind := range map[string]string{"gateway-infra-edge.yaml": "kind: Gateway", "httproute-shop-web.yaml": "kind: HTTPRoute"} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !strings.Contains(string(text), kind) {
			t.Errorf("%s: %v %s", name, err, text)
		}
	}
	code, _, errs = migrated(t, strings.Replace(migratable, "ssl-redirect", "limit-rps", 1), "-f", "-", "--report", "json")
	if err := json.Unmarshal([]byte(errs), &account); err != nil || code != 3 {
		t.Errorf("of what was not carried the account is no JSON: %d %v %s", code, err, errs)
	}
	const plain = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {ingressClassName: nginx, rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]}
`
	if _, _, errs := migrated(t, plain, "-f", "-", "--report", "json"); errs != "[]\n" {
		t.Errorf("of nothing that was asked for the account is %q", errs)
	}
	_, out, _ = migrated(t, migratable, "-f", "-", "-o", "json")
	var list struct {
		Kind  string
		Items []any
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.Kind != "List" || len(list.Items) != 2 {
		t.Errorf("%v %s", err, out)
	}
}
