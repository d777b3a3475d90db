//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// backend is two pods that answer with what they were sent. They go on serving for a while after they were told to end, as pods must
// that are not to lose requests: what is in front of them hears of their end at the same time as they do.
const backend = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend, namespace: $NAMESPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: backend}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      terminationGracePeriodSeconds: 10
      topologySpreadConstraints:
      - {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: backend}}, matchLabelKeys: [pod-template-hash]}
      containers:
      - name: echo
        image: registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        ports: [{containerPort: 3000}]
        readinessProbe: {httpGet: {path: /, port: 3000}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 3}}}
        resources: {requests: {cpu: 10m}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: backend, namespace: $NAMESPACE}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: backend}}}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: $NAMESPACE}
spec:
  selector: {app: backend}
  ports: [{port: 80, targetPort: 3000}]
---
`

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: $NAMESPACE}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: http, protocol: HTTP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: backend, namespace: $NAMESPACE}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules: [{backendRefs: [{name: backend, port: 80}]}]
---
`

// site is a Gateway with a route to a backend, in a namespace of its own.
type site struct{ namespace string }

// newSite makes a site and waits until it serves. It goes with the test.
func newSite(t *testing.T, name string, more ...string) site {
	t.Helper()
	s := site{"e2e-" + name}
	theCluster.apply(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", s.namespace))
	t.Cleanup(func() {
		theCluster.kubectl(t, "delete", "namespace", s.namespace, "--ignore-not-found", "--wait=false")
	})
	s.apply(t, backend+gateway+strings.Join(more, "\n---\n"))
	theCluster.kubectl(t, "rollout", "status", "-n", s.namespace, "deployment/backend", "--timeout=90s")
	s.serves(t, s.target(t, "http", 80))
	return s
}

// apply applies manifests in which $NAMESPACE stands for the site's.
func (s site) apply(t *testing.T, text string) {
	t.Helper()
	theCluster.apply(t, strings.ReplaceAll(text, "$NAMESPACE", s.namespace))
}

// target is where requests to the Gateway go.
func (s site) target(t *testing.T, scheme string, port int) target {
	t.Helper()
	address := ""
	eventually(t, time.Minute, func() string {
		var gw gatewayv1.Gateway
		if err := theCluster.client.Get(t.Context(), k8s.ObjectKey{Namespace: s.namespace, Name: "edge"}, &gw); err != nil {
			return err.Error()
		}
		for _, c := range gw.Status.Conditions {
			if c.Type == string(gatewayv1.GatewayConditionProgrammed) && c.Status == metav1.ConditionTrue && len(gw.Status.Addresses) > 0 {
				address = gw.Status.Addresses[0].Value
				return ""
			}
		}
		return fmt.Sprintf("the Gateway is not programmed: %+v", gw.Status)
	})
	return target{URL: scheme + "://" + net.JoinHostPort(address, fmt.Sprint(port)), Host: "shop.example.com"}
}

// serves waits until requests are answered, by whichever pod of gatehouse they come to.
func (s site) serves(t *testing.T, to target) {
	t.Helper()
	with := client(to.TLS, true)
	row := 0
	eventually(t, time.Minute, func() string {
		for row < 20 {
			if _, err := ask(with, to, "/ready", nil); err != nil {
				row = 0
				return err.Error()
			}
			row++
		}
		return ""
	})
}

// pods are the pods with a label, without those on their way out.
func pods(t *testing.T, namespace string, labels k8s.MatchingLabels) (out []corev1.Pod) {
	t.Helper()
	var list corev1.PodList
	if err := theCluster.client.List(t.Context(), &list, k8s.InNamespace(namespace), labels); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			out = append(out, p)
		}
	}
	return out
}
