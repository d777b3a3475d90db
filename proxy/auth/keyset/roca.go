package keyset

import "math/big"

// fingerprint is the primes that predictable looks at: the product of the primes
// of all affected key lengths begins with them.
var fingerprint = [...]int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// predictable reports whether n is a modulus of the kind a widespread smart card
// library made (CVE-2017-15361): its primes are powers of 65537 modulo a product
// of small primes, so n is one modulo each of them. Any other modulus passes for
// one with a probability of 2^-27.
func predictable(n *big.Int) bool {
	var rest big.Int
	for _, p := range fingerprint {
		r := rest.Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for {
			if power == r {
				break
			}
			if power = power * 65537 % p; power == 1 {
				return false
			}
		}
	}
	return true
}
