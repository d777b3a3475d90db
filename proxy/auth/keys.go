package auth

// Key is a key that verifies signatures.
type Key struct {
	ID         string   // kid; may be empty
	Algorithms []string // JWS algorithms it may be used with: its type's, narrowed by its alg
	Public     any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or []byte for HS*
}

// Keys is a key set as a method sees it.
type Keys interface {
	// Keys returns the keys in force and their version, which changes whenever
	// they do and is no other key set's. 0: there are none yet.
	Keys() (keys []Key, version uint64)
	// Miss says that a key was asked for which the set does not have. The set
	// is then fetched again soon. It does not wait.
	Miss()
}
