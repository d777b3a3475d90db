//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
)

// thousand is how many endpoints one Service has, in slices of a hundred, as its controller would write them.
const (
	thousand  = 1000
	sliceSize = 100
)

// farm makes every address of 10.90.0.0/16 lead to the node of the API server, from all nodes, and answers there with the address that
// was asked.
func farm(t *testing.T) (port int32) {
	t.Helper()
	n := theCluster.network
	ip := func(n *network, args ...string) {
		words := n.command("ip", append([]string{"route", "replace"}, args...)...)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	home, err := netip.ParseAddrPort(strings.TrimPrefix(theCluster.config.Host, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	ours := filepath.Dir(theCluster.kubeconfig)
	for _, kubelet := range processes("kubelet", func(p process) bool { return strings.Contains(strings.Join(p.args, " "), ours) }) {
		of, err := networkOf(kubelet.pid)
		if err != nil {
			t.Fatal(err)
		}
		if !of.same(n) {
			ip(of, "10.90.0.0/16", "via", home.Addr().String())
		}
	}
	ip(n, "local", "10.90.0.0/16", "dev", "lo")
	l, err := n.listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		_, _ = fmt.Fprintf(w, `{"pod": %q}`, strings.Split(at.String(), ":")[0])
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// slice is one EndpointSlice of the Service, with some of the endpoints.
func slice(namespace string, part int, port int32, size int) *discoveryv1.EndpointSlice {
	name, ready := "http", true
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("many-%d", part), Labels: map[string]string{discoveryv1.LabelServiceName: "many"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for i := range size {
		at := part*sliceSize + i
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{netip.AddrFrom4([4]byte{10, 90, byte(at / 200), byte(at%200 + 1)}).String()},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	return s
}

// TestThousandEndpoints has a Service with a thousand endpoints, takes half of them away under load and gives them back.
func TestThousandEndpoints(t *testing.T) {
	theCluster.local(t)
	gatehouse(t)
	s := newSite(t, "many", `
apiVersion: v1
kind: Service
metadata: {name: many, namespace: $NAMESPACE}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: many, namespace: $NAMESPACE}
spec:
  parentRefs: [{name: edge}]
  hostnames: [many.example.com]
  rules: [{backendRefs: [{name: many, port: 80}]}]
`)
	port := farm(t)
	for part := range thousand / sliceSize {
		if err := theCluster.client.Create(t.Context(), slice(s.namespace, part, port, sliceSize)); err != nil {
			t.Fatal(err)
		}
	}
	to := s.target(t, "http", 80)
	to.Host = "many.example.com"
	s.serves(t, to)
	l := start(t, to)
	l.after(500)
	write := func(size int) {
		for part := range thousand / sliceSize {
			have := slice(s.namespace, part, port, size)
			var now discoveryv1.EndpointSlice
			if err := theCluster.client.Get(t.Context(), k8s.ObjectKeyFromObject(have), &now); err != nil {
				t.Fatal(err)
			}
			now.Endpoints = have.Endpoints
			if err := theCluster.client.Update(t.Context(), &now); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(sliceSize / 2)
	l.after(500)
	write(sliceSize)
	l.after(1000)
	l.stop()
	// Of 2,000 requests to a thousand endpoints chosen at random, about 870 are asked.
	if len(l.pods) < 600 {
		t.Errorf("only %d of a thousand endpoints were asked", len(l.pods))
	}
	began := time.Now()
	theCluster.kubectl(t, "delete", "endpointslice", "-n", s.namespace, "-l", discoveryv1.LabelServiceName+"=many")
	eventually(t, 30*time.Second, func() string {
		if got, err := ask(client(nil, true), to, "/", nil); got.status != http.StatusServiceUnavailable {
			return fmt.Sprintf("without slices it answers %d: %v", got.status, err)
		}
		return ""
	})
	t.Logf("without slices it answers 503 after %s", time.Since(began).Round(10*time.Millisecond))
}
