package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// CheckJWT tells bad what of j cannot be meant, and where. Secrets and public
// keys are kept apart: a policy takes tokens by the one or by the other, so that
// no public key can pass for a secret (RFC 8725, section 2.1).
func CheckJWT(j *v1alpha1.JWTAuthentication, bad func(field, why string)) {
	if j.Leeway != nil {
		if v, err := time.ParseDuration(string(*j.Leeway)); err != nil || v < 0 || v > 5*time.Minute {
			bad(".leeway", fmt.Sprintf("%q is not a duration of at most 5m", string(*j.Leeway)))
		}
	}
	symmetric := 0
	for _, a := range j.Algorithms {
		if strings.HasPrefix(string(a), "HS") {
			symmetric++
		}
	}
	switch {
	case j.SecretRef == nil && symmetric > 0:
		bad(".algorithms", "HS256, HS384 and HS512 need secretRef; set it, or list asymmetric algorithms")
	case j.SecretRef != nil && j.JWKS != nil:
		bad(".secretRef", "it goes with no other source of keys; remove jwks, or secretRef")
	case j.SecretRef != nil && (symmetric == 0 || symmetric < len(j.Algorithms)):
		bad(".algorithms", "list those of HS256, HS384 and HS512 that the secrets are for, and no others")
	}
}

// minSecret is the bytes of the shortest secret that tokens may be signed with:
// as many as the hash of HS256 (RFC 7518, section 3.2).
const minSecret = 32

// SharedSecrets returns the keys of s that hold a secret tokens may be signed
// with, in order, and says of the others why they are left out. A Secret that
// does not exist holds none.
func SharedSecrets(s *corev1.Secret) (kids, notes []string) {
	if s == nil {
		return nil, nil
	}
	for _, kid := range slices.Sorted(maps.Keys(s.Data)) {
		if n := len(s.Data[kid]); n < minSecret {
			notes = append(notes, fmt.Sprintf("Secret %s/%s key %s is left out: it has %d bytes; use %d or more (RFC 7518, section 3.2)",
				s.Namespace, s.Name, kid, n, minSecret))
		} else {
			kids = append(kids, kid)
		}
	}
	return kids, notes
}
