package conformance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// cost is what gatehouse has spent: processor time of all its pods, and what it wrote to the API server, by resource.
type cost struct {
	seconds float64
	writes  map[string]int
}

var processorTime = regexp.MustCompile(`(?m)^container_cpu_usage_seconds_total\{container="gatehouse",namespace="gatehouse-system",[^}]*\} (\S+)`)

// spent asks each node's kubelet, and reads the API server's audit log where CLUSTER_AUDIT names one.
func spent(t *testing.T, options suite.ConformanceOptions) cost {
	t.Helper()
	// A cleanup calls it as well, when the test's own context has ended.
	nodes, err := options.Clientset.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := cost{writes: writes(t)}
	for _, n := range nodes.Items {
		text, err := options.Clientset.Discovery().RESTClient().Get().AbsPath("/api/v1/nodes", n.Name, "proxy/metrics/resource").DoRaw(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range processorTime.FindAllSubmatch(text, -1) {
			seconds, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			c.seconds += seconds
		}
	}
	return c
}

// writes counts gatehouse's successful writes, leases left out, by resource.
func writes(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	log, err := os.Open(os.Getenv("CLUSTER_AUDIT"))
	if errors.Is(err, fs.ErrNotExist) {
		return counts
	}
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for lines := bufio.NewReader(log); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return counts // a line that is being written ends here as well
		}
		var event struct {
			User           struct{ Username string }
			ObjectRef      struct{ Resource, Subresource string }
			ResponseStatus struct{ Code int }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		if event.User.Username == "system:serviceaccount:gatehouse-system:gatehouse" && event.ObjectRef.Resource != "leases" && event.ResponseStatus.Code < 300 {
			counts[strings.TrimSuffix(event.ObjectRef.Resource+"/"+event.ObjectRef.Subresource, "/")]++
		}
	}
}

func (c cost) since(before cost) string {
	total, by := 0, []string(nil)
	for _, resource := range slices.Sorted(maps.Keys(c.writes)) {
		if n := c.writes[resource] - before.writes[resource]; n > 0 {
			total += n
			by = append(by, fmt.Sprintf("%s %d", resource, n))
		}
	}
	return fmt.Sprintf("%.1f CPU seconds of gatehouse's pods, %d writes to the API (%s)", c.seconds-before.seconds, total, strings.Join(by, ", "))
}
