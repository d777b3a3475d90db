package keyset

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// minSecret is the bytes of the shortest secret an HS algorithm takes.
const minSecret = 32

// Shared makes keys of secrets that are shared with who signs. A secret is good
// for the algorithms whose hash is no longer than it (RFC 7518, section 3.2).
func Shared(secrets []table.SharedKey) ([]auth.Key, error) {
	keys := make([]auth.Key, 0, len(secrets))
	for _, s := range secrets {
		if len(s.Secret) < minSecret {
			return nil, fmt.Errorf("the secret %q has %d bytes; use at least %d", s.ID, len(s.Secret), minSecret)
		}
		k := auth.Key{ID: s.ID, Public: []byte(s.Secret)}
		for _, a := range []struct {
			name string
			size int
		}{{"HS256", 32}, {"HS384", 48}, {"HS512", 64}} {
			if len(s.Secret) >= a.size {
				k.Algorithms = append(k.Algorithms, a.name)
			}
		}
		keys = append(keys, k)
	}
	return keys, nil
}
