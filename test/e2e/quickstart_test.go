//go:build e2e

package e2e

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestQuickstart applies config/samples/quickstart and does what its comments ask for: pods behind the Services, and a certificate.
func TestQuickstart(t *testing.T) {
	gatehouse(t)
	t.Cleanup(func() { theCluster.kubectl(t, "delete", "namespace", "shop", "--ignore-not-found") })
	theCluster.kubectl(t, "apply", "-k", "config/samples/quickstart")
	s := site{"shop"}
	s.apply(t, backend+strings.ReplaceAll(certificate(t, x509.NewCertPool(), 1), "name: cert,", "name: quickstart-tls,"))
	for _, service := range strings.Fields(theCluster.kubectl(t, "get", "service", "-n", "shop", "-o", "name", "-l", "!gateway.networking.k8s.io/gateway-name")) {
		theCluster.kubectl(t, "patch", "-n", "shop", service, "--type=json", "-p",
			`[{"op":"add","path":"/spec/selector","value":{"app":"backend"}},{"op":"add","path":"/spec/ports/0/targetPort","value":3000}]`)
	}
	theCluster.kubectl(t, "rollout", "status", "-n", "shop", "deployment/backend", "--timeout=90s")
	to := s.target(t, "http", 8080)
	s.serves(t, to)
	try := func(path, key string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, to.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		response, err := client(nil, true).Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode, response.Header.Get("Www-Authenticate")
	}
	for _, tc := range []struct {
		path, key string
		status    int
	}{
		{"/hello", "", 200},
		{"/partners", "", 401},
		{"/partners", "wrong", 401},
		{"/partners", "quickstart-key-everybody-knows", 200},
		{"/orders?limit=1000", "", 400},
		{"/orders?limit=10", "", 200},
	} {
		eventually(t, 30*time.Second, func() string {
			if status, says := try(tc.path, tc.key); status != tc.status {
				return fmt.Sprintf("%s with key %q answers %d (%s), not %d", tc.path, tc.key, status, says, tc.status)
			}
			return ""
		})
	}
}
