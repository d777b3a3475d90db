package attach

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/policy"
)

// The sections of an Item's name. Those that hold many are followed by a slash
// and a name: "authentication/staff".
const (
	ItemAuthentication     = "authentication"
	ItemRequire            = "require"
	ItemMetadata           = "metadata"
	ItemAuthorization      = "authorization"
	ItemHeader             = "header" // lower case: "header/x-user"
	ItemCredential         = "credential"
	ItemUnauthenticated    = "unauthenticated"
	ItemDenied             = "denied"
	ItemForwardCredentials = "forwardCredentials"
	ItemPublic             = policy.Public
	ItemCheck              = "check"
)

// ConfigValue returns the value of a ConfigMap's key, nil if it has none.
func ConfigValue(c *corev1.ConfigMap, key string) []byte {
	if v, ok := c.Data[key]; ok {
		return []byte(v)
	}
	return c.BinaryData[key]
}
