//go:build envtest

package envtest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// token asks the API server for a token of a ServiceAccount, as a kubelet does for
// a pod.
func (w *World) token(account string, audiences ...string) string {
	w.t.Helper()
	seconds := int64(600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds}}
	of := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: account}}
	if err := w.Client.SubResource("token").Create(context.Background(), of, request); err != nil {
		w.t.Fatal(err)
	}
	return "Bearer " + request.Status.Token
}

// as is the status that GET path gets with a token, once it is want, or the last
// after ten seconds.
func (w *World) as(token, path string, want int) (status int) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if status = w.answers(token, path); status == want || time.Now().After(end) {
			return status
		}
	}
}

func (w *World) answers(token, path string) int {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, w.URL(path), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

const reviewed = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: ann, namespace: NS}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: bob, namespace: NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: readers, namespace: NS}
rules: [{apiGroups: [shop.example], resources: [orders], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: readers}
subjects: [{kind: ServiceAccount, name: ann, namespace: NS}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-paths}
rules: [{nonResourceURLs: [/paths/*], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-paths}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-paths}
subjects: [{kind: ServiceAccount, name: bob, namespace: NS}]
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: orders, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  rules:
    authentication: {pods: {kubernetes: {audiences: [orders]}}}
    authorization:
      rbac: {kubernetes: {resourceAttributes: {group: {value: shop.example}, resource: {value: orders}, namespace: {value: NS}}}}
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: paths, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: paths}]
  rules: {authentication: {pods: {kubernetes: {}}}, authorization: {rbac: {kubernetes: {}}}}
---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: pods, namespace: NS}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: pods}]
  rules: {authentication: {pods: {kubernetes: {audiences: [orders]}}}}
`

// The API server says whose a token is, and what its holder may do.
func TestReviews(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, base, routeTo("orders", "/orders"), routeTo("paths", "/paths"), routeTo("pods", "/pods"), reviewed)
	t.Cleanup(func() {
		w.Delete("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: NS-paths}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: NS-paths}\n")
	})
	w.Run().WaitReady()
	ann, bob := w.token("ann", "orders"), w.token("bob", "orders")
	w.Expect("/orders", http.StatusUnauthorized)
	for _, c := range []struct {
		what, token, path string
		want              int
	}{
		{"who may", ann, "/orders/1", 200},
		{"who may not", bob, "/orders/1", 403},
		{"a token for the API server", w.token("ann"), "/orders/1", 401},
		{"a token of nobody's", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", "/orders/1", 401},
		{"a token for something else", ann, "/paths/1", 401},
		{"any pod", bob, "/pods/1", 200},
		{"what the API server takes for no token", "Bearer \u00a0", "/pods/1", 401},
		{"the same, where it says for whom tokens are", "Bearer \u2003", "/paths/1", 401},
		{"who may, by path", w.token("bob"), "/paths/1", 200},
		{"who may not, by path", w.token("ann"), "/paths/1", 403},
	} {
		if got := w.as(c.token, c.path, c.want); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}

	// Who makes the API server's answers large keeps nobody from theirs.
	for i := range 6 {
		if got := w.answers("Bearer "+strings.Repeat("<", 16<<10-i), "/orders/1"); got != 401 {
			t.Errorf("a long token: %d", got)
		}
	}
	if got := w.answers(w.token("ann", "orders"), "/orders/1"); got != 200 {
		t.Errorf("who may, after long tokens: %d", got)
	}

	// A right that is withdrawn, and an account that is gone, do no more after ten seconds.
	w.Delete("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ann, namespace: NS}\n")
	for end := time.Now().Add(15 * time.Second); w.answers(ann, "/orders/1") != 401; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the token of an account that is gone still counts")
		}
	}
}
