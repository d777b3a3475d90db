//go:build envtest

package envtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// auditPolicy makes the API server note every request of Gatehouse's, and nobody else's.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + serviceAccount + `"]
- level: None
`

// audit makes the API server of e keep the audit log; policy is where to write what it is told.
func audit(e *envtest.Environment, policy string) error {
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	e.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", auditLog)
	return nil
}

// auditEvent is what is used of a line of the audit log.
type auditEvent struct {
	Verb      string
	UserAgent string
	User      struct{ Extra map[string][]string }
	ObjectRef struct{ Resource, Subresource, Namespace, Name string }

	ResponseStatus struct{ Code int }
}

// String is such as "update httproutes/status shop/orders: 200".
func (e auditEvent) String() string {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	return fmt.Sprintf("%s %s %s/%s: %d", e.Verb, resource, e.ObjectRef.Namespace, e.ObjectRef.Name, e.ResponseStatus.Code)
}

// audited returns the requests so far that match.
func audited(match func(auditEvent) bool) ([]auditEvent, error) {
	text, err := os.ReadFile(auditLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []auditEvent
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		if match(e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// writes returns the writes of Gatehouse's so far to objects of a namespace, events apart, or to a GatewayClass of that name.
func writes(t *testing.T, namespace string) []auditEvent {
	t.Helper()
	out, err := audited(func(e auditEvent) bool {
		switch e.Verb {
		case "create", "update", "patch", "delete":
			return (e.ObjectRef.Namespace == namespace || e.ObjectRef.Name == namespace) && e.ObjectRef.Resource != "events"
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
