package access

import (
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What holds of signed requests where a policy does not say.
const (
	signatureAge  = 5 * time.Minute
	signatureBody = 1 << 20
)

// hmac compiles an hmac method with the keys of the selected Secrets, which attach
// has checked.
func hmac(namespace string, spec *v1alpha1.HMACAuthentication, parts attach.Parts) (*table.HMAC, error) {
	out := &table.HMAC{
		ID: selectionID(namespace, spec.Namespace, &spec.Selector), Components: spec.Components, MaxAge: signatureAge, MaxBody: signatureBody,
	}
	if len(out.Components) == 0 {
		out.Components = []string{"@method", "@authority", "@path", "@query"}
	}
	if spec.MaxAge != nil {
		var err error
		if out.MaxAge, err = time.ParseDuration(string(*spec.MaxAge)); err != nil {
			return nil, err
		}
	}
	if spec.MaxBodyBytes != nil {
		out.MaxBody = *spec.MaxBodyBytes
	}
	for _, s := range parts.Secrets {
		if k, err := keysecret.ParseHMACKey(s); err == nil {
			out.Keys = append(out.Keys, &table.HMACKey{ID: k.ID, Key: k.Key, Holder: holder(s, &k.Holder)})
		}
	}
	slices.SortFunc(out.Keys, func(a, b *table.HMACKey) int { return strings.Compare(a.Holder.Secret, b.Holder.Secret) })
	return out, nil
}
