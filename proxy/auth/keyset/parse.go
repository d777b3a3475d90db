package keyset

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// The bounds of a key set.
const (
	maxKeys   = 100
	minRSA    = 2048
	minSecret = 32 // bytes of an HS* key (RFC 7518, section 3.2)
)

// Parse reads a JWK set (RFC 7517). Keys of a kind we do not know, or that are
// not for verifying signatures, are passed over (section 5). A set without a key
// that is left, or with a private key in it, is an error. Symmetric keys are
// read only if the set is written out in the configuration.
func Parse(document []byte, inline bool) ([]auth.Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("not a JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys; use at most %d", len(set.Keys), maxKeys)
	}
	var keys []auth.Key
	var passed error
	for i, raw := range set.Keys {
		k, err := parseKey(raw, inline)
		switch {
		case errors.Is(err, errPrivate):
			return nil, fmt.Errorf("key %d: %w", i, err)
		case err != nil:
			passed = fmt.Errorf("key %d: %w", i, err)
		default:
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		if passed == nil {
			passed = errors.New(`"keys" is missing or empty`)
		}
		return nil, fmt.Errorf("the key set has no usable key: %w", passed)
	}
	return keys, nil
}

var errPrivate = errors.New("the key set holds a private key; publish public keys only, and replace this one")

func parseKey(raw json.RawMessage, inline bool) (auth.Key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return auth.Key{}, errors.New("not a JSON object")
	}
	symmetric := string(members["kty"]) == `"oct"`
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"} {
		if _, there := members[secret]; there {
			return auth.Key{}, errPrivate
		}
	}
	if symmetric && !inline {
		return auth.Key{}, errors.New("a symmetric key that anybody can fetch proves nothing")
	}
	if !verifies(members) {
		return auth.Key{}, errors.New("it is not for verifying signatures (use, key_ops)")
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil {
		return auth.Key{}, err
	}
	algorithms, err := algorithms(k.Key)
	if err != nil {
		return auth.Key{}, err
	}
	if k.Algorithm != "" {
		if !slices.Contains(algorithms, k.Algorithm) {
			return auth.Key{}, fmt.Errorf("its alg %q does not fit its type", k.Algorithm)
		}
		algorithms = []string{k.Algorithm}
	}
	return auth.Key{ID: k.KeyID, Algorithms: algorithms, Public: k.Key}, nil
}

// verifies reports whether use and key_ops allow verifying (RFC 7517, sections
// 4.2 and 4.3).
func verifies(members map[string]json.RawMessage) bool {
	if use, there := members["use"]; there && string(use) != `"sig"` {
		return false
	}
	if raw, there := members["key_ops"]; there {
		var ops []string
		return json.Unmarshal(raw, &ops) == nil && slices.Contains(ops, "verify")
	}
	return true
}

// algorithms lists what a key may be used with, so that a token cannot choose
// (RFC 8725, section 3.1).
func algorithms(key any) ([]string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits; use at least %d", k.N.BitLen(), minRSA)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}, nil
		case 384:
			return []string{"ES384"}, nil
		case 521:
			return []string{"ES512"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	case []byte:
		if len(k) < minSecret {
			return nil, fmt.Errorf("a symmetric key of %d bytes; use at least %d", len(k), minSecret)
		}
		return []string{"HS256", "HS384", "HS512"}, nil
	}
	return nil, errors.New("its type is not supported")
}
