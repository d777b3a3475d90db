package auth

import (
	"crypto"
	"crypto/subtle"
	"slices"
	"time"
)

// Key is a key that verifies signatures.
type Key struct {
	ID         string   // kid; may be empty
	Algorithms []string // JWS algorithms it may be used with: its type's, narrowed by its alg
	Public     any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or []byte, which is a secret, for HS*
}

// Clashes reports whether a token may mean k or o: they differ, and share a kid
// and an algorithm.
func (k Key) Clashes(o Key) bool {
	return k.ID != "" && k.ID == o.ID && !k.Same(o) &&
		slices.ContainsFunc(k.Algorithms, func(a string) bool { return slices.Contains(o.Algorithms, a) })
}

// Same reports whether both verify with the same.
func (k Key) Same(o Key) bool {
	switch p := k.Public.(type) {
	case interface{ Equal(crypto.PublicKey) bool }:
		return p.Equal(o.Public)
	case []byte:
		s, ok := o.Public.([]byte)
		return ok && subtle.ConstantTimeCompare(p, s) == 1
	}
	return false
}

// Keys is a key set as a method sees it.
type Keys interface {
	// Keys returns the keys in force and their version, which changes whenever
	// they do and is no other key set's. 0: there are none yet.
	Keys() (keys []Key, version uint64)
	// Miss says that a key was asked for which the set does not have; what names
	// it, or is the token that names none. It waits while the set is fetched:
	// after that, again says to look once more. Else after is when to ask again,
	// 0 if the set has been fetched since the key was first missed, and does not
	// have it.
	Miss(what string) (again bool, after time.Duration)
}
