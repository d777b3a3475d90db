// Package keysecret finds the Secrets that policies name, and reads those that hold what
// callers prove themselves with: API keys, by their hashes, and keys that requests are
// signed with.
//
// attach and compile call it for the Secrets of a policy, cmd for those it writes. It
// calls store and refgrant, and is pure.
package keysecret

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
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
	k, err := holder(s)
	hash, plain := strings.TrimSpace(string(s.Data["keyHash"])), s.Data["apiKey"]
	switch {
	case err != nil:
		return k, err
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
	return k, nil
}

// HMACKey is what a Secret says of a key that requests are signed with.
type HMACKey struct {
	ID     string // the Secret's name unless it says otherwise
	Key    []byte
	Holder APIKey // without Hash
}

// ParseHMACKey reads a Secret that holds a key for hmac: data hmacKey, the
// annotation gatehouse.dev/key-id, and those that ParseAPIKey reads too.
func ParseHMACKey(s *corev1.Secret) (HMACKey, error) {
	k := HMACKey{ID: policy.SecretField(s, "key-id"), Key: s.Data[v1alpha1.HMACKey]}
	if k.ID == "" {
		k.ID = s.Name
	}
	var err error
	k.Holder, err = holder(s)
	const least = sha256.Size // RFC 2104, section 3
	if err == nil && len(k.Key) < least {
		err = fmt.Errorf("%s is missing or has fewer than %d bytes", v1alpha1.HMACKey, least)
	}
	return k, err
}

// holder reads who has a key, and from when until when.
func holder(s *corev1.Secret) (k APIKey, err error) {
	k = APIKey{Subject: policy.SecretField(s, "subject"), Plan: policy.SecretField(s, "plan"), Metadata: keyMetadata(s)}
	if k.Subject == "" {
		k.Subject = s.Name
	}
	k.Scopes = strings.FieldsFunc(policy.SecretField(s, "scopes"), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	if k.NotBefore, err = policy.SecretTime(s, "not-before"); err != nil {
		return k, err
	}
	k.Expires, err = policy.SecretTime(s, "expires-at")
	return k, err
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
