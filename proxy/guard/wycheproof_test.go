package guard

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/jwt"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// vectors is a file of Project Wycheproof's.
type vectors struct {
	Groups []struct {
		Comment         string
		Public, Private json.RawMessage // a JWK, or a set of them
		Tests           []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     any // text, or an object in JSON serialization
			Result  string
		}
	} `json:"testGroups"`
}

// corrected holds the signature vectors that are judged otherwise here.
var corrected = map[int]string{
	346: "invalid", 350: "invalid", // the key is for PS256, the token is signed with PS384 (RFC 8725, section 3.1)
	347: "invalid", 351: "invalid", // the key is for ES521, which RFC 7518 does not have
	367: "valid", 370: "valid", // nothing is left of the padding they are about: they are tokens as they should be
	372: "invalid", 373: "invalid", // there is a "?" in them, which is not base64url
}

// Every vector about verifying goes through the reading of a token's header, the
// reading of a key set and the verification, as a request's token does. Claims
// are left out, for the vectors' content has none.
func TestWycheproof(t *testing.T) {
	for file, want := range map[string]int{"json_web_signature": 401, "json_web_key": 26, "json_web_crypto": 49} {
		raw, err := os.ReadFile(filepath.Join("testdata", "wycheproof", file+"_test.json"))
		if err != nil {
			t.Fatal(err)
		}
		var v vectors
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		signed := 0
		for _, g := range v.Groups {
			written := g.Public
			if written == nil {
				written = g.Private
			}
			v, why := verifierOf(t, written)
			for _, test := range g.Tests {
				if test.JWS == nil {
					continue // about encryption, and we read nothing encrypted
				}
				signed++
				result := test.Result
				if is := corrected[test.ID]; is != "" && file == "json_web_signature" {
					result = is
				}
				token, _ := test.JWS.(string) // JSON serialization is no token
				if _, code := v.Signed(token); (result == "valid") != (code == "") {
					t.Errorf("%s %d %s %s: %q (keys: %v), want %s", file, test.ID, g.Comment, test.Comment, code, why, result)
				}
			}
		}
		if signed != want {
			t.Errorf("%s: %d vectors, want %d", file, signed, want)
		}
	}
}

// ring is the keys of a policy.
type ring []auth.Key

func (r ring) Keys() ([]auth.Key, uint64)      { return r, 1 }
func (ring) Miss(string) (bool, time.Duration) { return false, 0 }

// verifierOf makes of JWKs what a policy would: public ones a key set, symmetric
// ones a Secret, whose entries have distinct names, and one algorithm for each
// policy. why is why there are no keys.
func verifierOf(t *testing.T, written json.RawMessage) (*jwt.Verifier, error) {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(written, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		var one map[string]any
		if err := json.Unmarshal(written, &one); err != nil {
			t.Fatal(err)
		}
		set.Keys = []map[string]any{one}
	}
	var algorithms []string
	var secrets []table.SharedKey
	shared, kids := 0, map[any]bool{}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} { // they stand in groups without a public part
			delete(k, private)
		}
		alg, _ := k["alg"].(string)
		if k["kty"] == "oct" && strings.HasPrefix(alg, "HS") && !kids[k["kid"]] {
			text, _ := k["k"].(string)
			secret, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			kid, _ := k["kid"].(string)
			algorithms, secrets = []string{alg}, append(secrets, table.SharedKey{ID: kid, Secret: secret})
			shared++
		} else if kids[k["kid"]] {
			shared = 0
			break
		}
		kids[k["kid"]] = true
	}
	var keys []auth.Key
	var why error
	if shared == len(set.Keys) {
		keys, why = keyset.Shared(secrets)
	} else {
		algorithms = nil // every asymmetric one
		document, err := json.Marshal(map[string]any{"keys": set.Keys})
		if err != nil {
			t.Fatal(err)
		}
		keys, why = keyset.Parse(document)
	}
	v, err := jwt.NewVerifier(&table.JWT{Issuer: "-", Algorithms: algorithms}, ring(keys), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return v, why
}
