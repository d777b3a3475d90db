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
	maxKeys = 100
	minRSA  = 2048
)

// Parse reads a JWK set (RFC 7517). Keys of a kind we do not know, symmetric
// ones, and those that are not for verifying signatures, are passed over
// (section 5); so are different keys that share a kid and an algorithm, for it
// could not be told which of them a token means. A set without a key that is
// left, or with a private key in it, is an error.
func Parse(document []byte) ([]auth.Key, error) {
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
		k, err := parseKey(raw)
		switch {
		case errors.Is(err, errPrivate):
			return nil, fmt.Errorf("key %d: %w", i, err)
		case err != nil:
			passed = fmt.Errorf("key %d: %w", i, err)
		default:
			keys = append(keys, k)
		}
	}
	unambiguous := slices.DeleteFunc(slices.Clone(keys), func(k auth.Key) bool { return slices.ContainsFunc(keys, k.Clashes) })
	if len(keys) > 0 && len(unambiguous) == 0 {
		passed = fmt.Errorf("several keys have the kid %q", keys[0].ID)
	}
	if keys = unambiguous; len(keys) == 0 {
		if passed == nil {
			passed = errors.New(`"keys" is missing or empty`)
		}
		return nil, fmt.Errorf("the key set has no usable key: %w", passed)
	}
	return keys, nil
}

var errPrivate = errors.New("the key set holds a private key; publish public keys only, and replace this one")

func parseKey(raw json.RawMessage) (auth.Key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return auth.Key{}, errors.New("not a JSON object")
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"} {
		if _, there := members[secret]; there {
			return auth.Key{}, errPrivate
		}
	}
	if string(members["kty"]) == `"oct"` {
		return auth.Key{}, errors.New("a symmetric key is nothing to publish, and is read from Secrets only (jwt.secretRef)")
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
		if k.E < 3 || k.E%2 == 0 {
			return nil, fmt.Errorf("an RSA key with the public exponent %d; use 65537", k.E)
		}
		if predictable(k.N) {
			return nil, errors.New("an RSA key whose private half can be computed (ROCA, CVE-2017-15361); replace it")
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
	}
	return nil, errors.New("its type is not supported")
}
