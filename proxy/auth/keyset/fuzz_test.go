package keyset

import (
	"crypto/rsa"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// FuzzParse: nothing panics, every key is public and of a length that is enough, none can be
// taken for another, and what is kept of a set is the same set.
func FuzzParse(f *testing.F) {
	e := ec(f)
	one := set(f, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e", Algorithm: "ES256", Use: "sig"})
	for _, seed := range []string{
		one, set(f, jose.JSONWebKey{Key: e}), `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"\ud800","alg":"EdDSA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","key_ops":["verify"]},{"kty":"new","D":"AA"}]}`, `{"Keys":[]}`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, err := Parse(content)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%s: %d keys, %v", content, len(keys), err)
		}
		if err != nil {
			return
		}
		for i, k := range keys {
			out := jose.JSONWebKey{Key: k.Public}
			if !out.Valid() || !out.IsPublic() || len(k.Algorithms) == 0 || slices.ContainsFunc(keys[:i], k.Clashes) {
				t.Fatalf("%s: %+v", content, k)
			}
			if r, is := k.Public.(*rsa.PublicKey); is && r.N.BitLen() < minRSA {
				t.Fatalf("%s: an RSA key of %d bits", content, r.N.BitLen())
			}
		}
		text, err := write(&state{keys: keys})
		if err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		back, err := read(Kept{Fetched: time.Now(), Document: text})
		if err != nil || !equal(back.keys, keys) {
			t.Fatalf("%s: kept as %s, %v", content, text, err)
		}
	})
}
