package keysecret

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestParseAPIKey(t *testing.T) {
	is := func(annotations, data, want string) {
		t.Helper()
		s := &corev1.Secret{}
		if err := yaml.Unmarshal([]byte("metadata: {name: s, namespace: shop, annotations: {"+annotations+"}}\n"), s); err != nil {
			t.Fatal(err)
		}
		s.Data = map[string][]byte{}
		for _, pair := range strings.Split(data, ";") {
			name, value, _ := strings.Cut(pair, "=")
			s.Data[name] = []byte(value)
		}
		k, err := ParseAPIKey(s)
		got := fmt.Sprintf("%s %s %v %q %d %d", hex.EncodeToString(k.Hash[:4]), k.Subject, k.Scopes, k.Plan, k.NotBefore, k.Expires)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s %s: got %s, want %s", annotations, data, got, want)
		}
	}
	hash := strings.Repeat("ab", 32)
	is("", "keyHash=sha256:"+hash, `abababab s [] "" 0 0`)
	is("", "keyHash= sha256:"+hash+"\n", `abababab s [] "" 0 0`)
	is("", "apiKey=abc", `ba7816bf s [] "" 0 0`)
	is("", "apiKey=abc;keyHash=sha256:"+hash, `abababab s [] "" 0 0`)
	is(`gatehouse.dev/subject: bob, gatehouse.dev/scopes: "r, w x", gatehouse.dev/plan: gold, gatehouse.dev/not-before: "1970-01-01T00:00:01Z",
		gatehouse.dev/expires-at: "1970-01-01T01:00:00+01:00"`, "apiKey=abc", `ba7816bf bob [r w x] "gold" 1 1`)
	is("", "apiKey=abc;subject=eve;plan=tin", `ba7816bf eve [] "tin" 0 0`)
	is("", "key=abc", "it has neither keyHash nor apiKey")
	is("", "keyHash="+hash, "keyHash is not sha256: and 64 hexadecimal digits")
	is("", "keyHash=sha256:ab", "keyHash is not sha256: and 64 hexadecimal digits")
	is("gatehouse.dev/expires-at: soon", "apiKey=abc", `expires-at is not a time such as 2026-01-31T00:00:00Z`)
}

// No time that is written out reads as none, not even that of the epoch.
func FuzzParseAPIKey(f *testing.F) {
	f.Add("sha256:"+strings.Repeat("ab", 32), "", "2026-01-31T00:00:00Z")
	f.Add("", "abc", "")
	f.Add("", "abc", "1970-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, hash, key, expires string) {
		s := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"gatehouse.dev/expires-at": expires}},
			Data:       map[string][]byte{"keyHash": []byte(hash), "apiKey": []byte(key)},
		}
		k, err := ParseAPIKey(s)
		if err == nil && strings.TrimSpace(expires) != "" && k.Expires == 0 {
			t.Errorf("%q never expires", expires)
		}
	})
}
