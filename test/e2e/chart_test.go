//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

// object is a manifest.
type object map[string]any

func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// objects reads manifests, by kind and name.
func objects(t *testing.T, text string) map[string]object {
	t.Helper()
	out := map[string]object{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if o != nil {
			out[fmt.Sprintf("%v %v", o["kind"], o.at("metadata", "name"))] = o
		}
	}
	return out
}

// TestChartIsConfig compares what Helm makes of the chart with what kubectl makes of config/default.
func TestChartIsConfig(t *testing.T) {
	byHelm := objects(t, theCluster.helm(t, "template", "gatehouse", "charts/gatehouse", "--namespace", system))
	byKubectl := objects(t, theCluster.kubectl(t, "kustomize", "config/default"))
	// The namespace is Helm's flag, and gives the Lease away with it.
	delete(byKubectl, "Namespace "+system)
	delete(byHelm, "Lease gatehouse-leader")
	if h, k := slices.Sorted(maps.Keys(byHelm)), slices.Sorted(maps.Keys(byKubectl)); !slices.Equal(h, k) {
		t.Fatalf("by Helm there are\n%v\nby kubectl\n%v", h, k)
	}
	for name, h := range byHelm {
		k := byKubectl[name]
		h["metadata"], k["metadata"] = plain(h), plain(k)
		if h["kind"] == "Deployment" {
			deployed(t, h, k)
		}
		unlabel(h)
		unlabel(k)
		if !reflect.DeepEqual(h, k) {
			left, _ := yaml.Marshal(h)
			right, _ := yaml.Marshal(k)
			t.Errorf("%s is by Helm\n%s\nby kubectl\n%s", name, left, right)
		}
	}
}

// plain is an object's metadata without what Helm and kubectl mark as theirs.
func plain(o object) map[string]any {
	return map[string]any{"name": o.at("metadata", "name"), "namespace": o.at("metadata", "namespace")}
}

// deployed compares the arguments of two Deployments by what they come to, and takes them out.
func deployed(t *testing.T, a, b object) {
	t.Helper()
	values := func(o object) map[string]string {
		container := o.at("spec", "template", "spec").(map[string]any)["containers"].([]any)[0].(map[string]any)
		var args []string
		for _, a := range container["args"].([]any) {
			args = append(args, a.(string))
		}
		delete(container, "args")
		c, rest, err := command.New(io.Discard, io.Discard).Find(args)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Flags().Parse(rest); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		c.Flags().VisitAll(func(f *pflag.Flag) { out[f.Name] = f.Value.String() })
		delete(out, "pod-selector") // each selects its own
		return out
	}
	if x, y := values(a), values(b); !maps.Equal(x, y) {
		t.Errorf("the flags are by Helm\n%v\nby kubectl\n%v", x, y)
	}
}

// unlabel takes labels out of what an object has in it: Helm's have the release's name.
func unlabel(v any) {
	switch v := v.(type) {
	case object:
		unlabel(map[string]any(v))
	case map[string]any:
		for _, key := range []string{"labels", "matchLabels"} {
			if _, ok := v[key].(map[string]any); ok {
				delete(v, key)
			}
		}
		for _, inner := range v {
			unlabel(inner)
		}
	case []any:
		for _, inner := range v {
			unlabel(inner)
		}
	}
}

func TestChartIsClean(t *testing.T) {
	theCluster.helm(t, "lint", "--strict", "charts/gatehouse")
	all := theCluster.helm(t, "template", "gatehouse", "charts/gatehouse", "--namespace", "edge", "--set", strings.Join([]string{
		"crds.enabled=false", "networkPolicy.enabled=true", "serviceMonitor.enabled=true", "dashboards.enabled=true", "alerts.enabled=true", "autoscaling.enabled=true",
		"drain.delaySeconds=10", "drain.timeoutSeconds=60", "log.format=json", "trustedProxies={10.0.0.0/8,192.0.2.1}", "extraArgs={--max-streams=50}",
		"gatewayClass.parametersRef.group=example.com,gatewayClass.parametersRef.kind=Parameters,gatewayClass.parametersRef.name=edge",
	}, ",")+",image.digest=sha256:"+strings.Repeat("0", 64))
	made := objects(t, all)
	for _, want := range []string{
		"NetworkPolicy gatehouse", "ServiceMonitor gatehouse", "PrometheusRule gatehouse", "Service gatehouse-metrics", "ConfigMap gatehouse-dashboards",
		"HorizontalPodAutoscaler gatehouse", "ClusterRole edge-gatehouse", "Role gatehouse",
	} {
		if made[want] == nil {
			t.Errorf("there is no %s among %v", want, slices.Sorted(maps.Keys(made)))
		}
	}
	pod := made["Deployment gatehouse"].at("spec", "template", "spec").(map[string]any)
	if got := pod["terminationGracePeriodSeconds"]; got != 80.0 {
		t.Errorf("pods have %v seconds to end, and need 10 and 60", got)
	}
	container := pod["containers"].([]any)[0].(map[string]any)
	for _, want := range []string{"--log-format=json", "--trusted-proxies=10.0.0.0/8,192.0.2.1", "--max-streams=50", "--drain-delay=10s"} {
		if !slices.Contains(container["args"].([]any), any(want)) {
			t.Errorf("%s is not among %v", want, container["args"])
		}
	}
	// A load that leaves the pods no time for a second must not have them ended, all at about the same time.
	probe := object(container).at("livenessProbe").(map[string]any)
	if timeout, _ := probe["timeoutSeconds"].(float64); timeout < 5 {
		t.Errorf("a pod that answers late is ended: %v", probe)
	}
}

// TestChartOddNames makes the chart of names that YAML reads as something else, of long ones, and without Ingresses.
func TestChartOddNames(t *testing.T) {
	made := objects(t, theCluster.helm(t, "template", "123", "charts/gatehouse", "--namespace", "456",
		"--set", "crds.enabled=false,serviceMonitor.enabled=true,dashboards.enabled=true,alerts.enabled=true,networkPolicy.enabled=true,autoscaling.enabled=true",
		"--set-string", "nameOverride=7,gatewayClass.name=1e3,ingressClass.name=true,priorityClassName=9,serviceAccount.name=8,fullnameOverride="+strings.Repeat("1", 63)))
	for name, o := range made {
		texts(t, name, map[string]any(o), "name", "namespace", "app.kubernetes.io/name", "app.kubernetes.io/instance", "serviceAccountName", "priorityClassName")
	}
	if want := "Service " + strings.Repeat("1", 55) + "-metrics"; made[want] == nil {
		t.Errorf("there is no %s among %v", want, slices.Sorted(maps.Keys(made)))
	}
	made = objects(t, theCluster.helm(t, "template", "gatehouse", "charts/gatehouse", "--set", "crds.enabled=false,ingressControllerName="))
	if made["IngressClass gatehouse"] != nil {
		t.Error("there is an IngressClass where no Ingress is served; the API server takes none without a controller")
	}
}

// texts looks whether fields are texts, wherever they stand.
func texts(t *testing.T, at string, v any, fields ...string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if _, is := inner.(string); !is && slices.Contains(fields, key) {
				t.Errorf("%s: %s is %v, which is no text", at, key, inner)
			}
			texts(t, at, inner, fields...)
		}
	case []any:
		for _, inner := range v {
			texts(t, at, inner, fields...)
		}
	}
}

func TestChartRefusesWrongValues(t *testing.T) {
	for _, tc := range []struct{ set, says string }{
		{"replicaCount=-1", "/replicaCount"},
		{"replicaCount=two", "/replicaCount"},
		{"replicas=3", "'replicas' not allowed"},
		{"image.pullPolicy=Sometimes", "/image/pullPolicy"},
		{"image.digest=sha256:abc", "/image/digest"},
		{"controllerName=gatehouse", "/controllerName"},
		{"gatewayClass.name=Upper", "/gatewayClass/name"},
		{"gatewayClass.parametersRef.kind=Parameters", "/gatewayClass/parametersRef"},
		{"log.format=xml", "/log/format"},
		{"log.accessSample=2", "/log/accessSample"},
		{"drain.delaySeconds=5s", "/drain/delaySeconds"},
		{"trustedProxies={everybody}", "/trustedProxies/0"},
		{"extraArgs={run}", "/extraArgs/0"},
		{"podDisruptionBudget.maxUnavailable=200%", "/podDisruptionBudget/maxUnavailable"},
		{"serviceMonitor.interval=often", "/serviceMonitor/interval"},
		{"networkPolicy.enabled=perhaps", "/networkPolicy/enabled"},
		{"autoscaling.enabled=true,autoscaling.minReplicas=11", "autoscaling.minReplicas is 11, more than autoscaling.maxReplicas, which is 10"},
		{"log=null", "missing property 'log'"},
		{"drain.delaySeconds=null", "/drain"},
		{`podLabels.app\.kubernetes\.io/name=edge`, "invalid propertyName 'app.kubernetes.io/name'"},
	} {
		out, err := theCluster.run("", theCluster.helmProgram, "template", "gatehouse", "charts/gatehouse", "--set", tc.set)
		if err == nil || !strings.Contains(out, tc.says) {
			t.Errorf("--set %s: %v; %q is not in\n%.500s", tc.set, err, tc.says, out)
		}
	}
}
