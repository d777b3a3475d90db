package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
)

// reasonKeySet is of a policy whose issuer's keys the proxy has never had.
const reasonKeySet = "KeySetUnavailable"

// keyless says which methods of a policy have no keys to verify with, as the proxy
// cannot fetch them, and why; "" for none.
func (p projection) keyless(of *attach.Policy) string {
	if len(p.applied.KeySets) == 0 {
		return ""
	}
	methods := of.AuthRules().Authentication
	var all []string
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		m := methods[name]
		if why := p.unfetched(of.Key.Namespace, &m); why != "" {
			all = append(all, fmt.Sprintf("authentication/%s: the issuer's keys cannot be fetched: %s", name, why))
		}
	}
	return strings.Join(all, "; ")
}

// unfetched is why the key set of a method is not there; "" if it is, or is not fetched.
func (p projection) unfetched(namespace string, m *v1alpha1.AuthenticationMethod) string {
	switch j := m.JWT; {
	case m.OIDC != nil:
		return p.applied.KeySets[policy.DiscoveredKeys(m.OIDC.Issuer)]
	case j == nil || j.SecretRef != nil:
	case j.JWKS == nil:
		return p.applied.KeySets[policy.DiscoveredKeys(j.Issuer)]
	case j.JWKS.URI != nil:
		return p.applied.KeySets[policy.KeysAt(*j.JWKS.URI)]
	case j.JWKS.BackendRef != nil:
		to := j.JWKS.BackendRef
		service := policy.KeysOf(fmt.Sprintf("%s/%s:%d", namespace, to.Name, to.Port), "")
		for _, id := range slices.Sorted(maps.Keys(p.applied.KeySets)) {
			over, is := strings.CutPrefix(strings.TrimSuffix(id, to.Path), service)
			if is && strings.HasSuffix(id, to.Path) && (over == "" || over[0] == ' ') { // reached over TLS it has more words
				return p.applied.KeySets[id]
			}
		}
	}
	return ""
}

// awaiting is the conditions of a policy that waits for keys, made of those that say
// what it would be with them.
func awaiting(conditions []metav1.Condition, keyless string) []metav1.Condition {
	out := slices.Clone(conditions)
	for i := range out {
		c := &out[i]
		if keyless != "" && c.Type == string(gatewayv1.GatewayConditionProgrammed) && c.Status == metav1.ConditionTrue {
			c.Message = keyless + "; mend the URL, or see that the gateway's pods reach it: it is tried again every minute. Requests that need this are answered 503; otherwise " + c.Message
			c.Status, c.Reason = metav1.ConditionFalse, reasonKeySet
		}
	}
	return out
}
