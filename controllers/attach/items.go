package attach

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/policy"
)

// The sections of an Item's name. Those that hold many are followed by a slash
// and a name: "authentication/staff".
const (
	ItemAuthentication     = "authentication"
	ItemRequire            = "require"
	ItemAuthorization      = "authorization"
	ItemHeader             = "header" // lower case: "header/x-user"
	ItemCredential         = "credential"
	ItemUnauthenticated    = "unauthenticated"
	ItemDenied             = "denied"
	ItemForwardCredentials = "forwardCredentials"
	ItemPublic             = "public"
	ItemCheck              = "check"
)

// APIKey is what a Secret says of one API key.
type APIKey struct {
	Hash      [sha256.Size]byte
	Subject   string // the Secret's name unless it says otherwise
	Scopes    []string
	Plan      string
	NotBefore int64 // Unix seconds; 0: none
	Expires   int64 // Unix seconds; 0: never
	// Metadata is what else rules see of the key: its owner, and every annotation
	// metadata.gatehouse.dev/name by that name. It may be nil.
	Metadata map[string]string
}

// metadataPrefix begins the annotations that rules see.
const metadataPrefix = "metadata.gatehouse.dev/"

// ParseAPIKey reads a Secret that holds an API key: data keyHash
// ("sha256:" and 64 hexadecimal digits) or apiKey (the key itself, which is
// hashed here), and the annotations gatehouse.dev/subject, scopes (separated by
// blanks or commas), plan, owner, not-before and expires-at (RFC 3339). Data of the
// same name without the prefix is read where there is no annotation. Errors
// name the field and never its value.
func ParseAPIKey(s *corev1.Secret) (APIKey, error) {
	k := APIKey{Subject: policy.SecretField(s, "subject"), Plan: policy.SecretField(s, "plan")}
	if k.Subject == "" {
		k.Subject = s.Name
	}
	k.Scopes = strings.FieldsFunc(policy.SecretField(s, "scopes"), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	k.Metadata = keyMetadata(s)
	hash, plain := strings.TrimSpace(string(s.Data["keyHash"])), s.Data["apiKey"]
	switch {
	case hash != "":
		digits, ok := strings.CutPrefix(hash, "sha256:")
		raw, err := hex.DecodeString(digits)
		if !ok || err != nil || len(raw) != sha256.Size {
			return k, fmt.Errorf("keyHash is not sha256: and 64 hexadecimal digits")
		}
		k.Hash = [sha256.Size]byte(raw)
	case len(plain) > 0:
		k.Hash = sha256.Sum256(plain)
	default:
		return k, fmt.Errorf("it has neither keyHash nor apiKey")
	}
	var err error
	if k.NotBefore, err = policy.SecretTime(s, "not-before"); err != nil {
		return k, err
	}
	if k.Expires, err = policy.SecretTime(s, "expires-at"); err != nil {
		return k, err
	}
	return k, nil
}

func keyMetadata(s *corev1.Secret) map[string]string {
	out := map[string]string{}
	if owner := policy.SecretField(s, "owner"); owner != "" {
		out["owner"] = owner
	}
	for name, value := range s.Annotations {
		if name, ok := strings.CutPrefix(name, metadataPrefix); ok {
			out[name] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// ConfigValue returns the value of a ConfigMap's key, nil if it has none.
func ConfigValue(c *corev1.ConfigMap, key string) []byte {
	if v, ok := c.Data[key]; ok {
		return []byte(v)
	}
	return c.BinaryData[key]
}
