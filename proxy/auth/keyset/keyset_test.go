package keyset

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ec(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func set(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	e := ec(t)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := func(document, want string) {
		t.Helper()
		keys, err := Parse([]byte(document))
		var got []string
		for _, k := range keys {
			got = append(got, k.ID+":"+strings.Join(k.Algorithms, ","))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v, want %s", document, got, err, want)
		}
	}
	fails := func(document, want string) {
		t.Helper()
		if keys, err := Parse([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", document, keys, err, want)
		}
	}
	one := func(members string) string {
		whole := set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"})
		return strings.Replace(whole, `"kty"`, members+`,"kty"`, 1)
	}
	is(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"}), "e:ES256")
	is(set(t, jose.JSONWebKey{Key: &r.PublicKey, KeyID: "r"}), "r:RS256,RS384,RS512,PS256,PS384,PS512")
	is(set(t, jose.JSONWebKey{Key: &r.PublicKey, KeyID: "r", Algorithm: "PS256", Use: "sig"}), "r:PS256")
	is(set(t, jose.JSONWebKey{Key: d.Public(), KeyID: "d"}), "d:EdDSA")
	is(set(t, jose.JSONWebKey{Key: &r.PublicKey, Use: "enc"}, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"}), "e:ES256")
	is(one(`"key_ops":["verify"]`), "e:ES256")
	is(`{"keys":[{"kty":"new"},`+set(t, jose.JSONWebKey{Key: &e.PublicKey})[len(`{"keys":[`):], ":ES256")

	fails(one(`"key_ops":["sign"]`), "not for verifying")
	fails(one(`"use":"enc"`), "not for verifying")
	fails(one(`"alg":"RS256"`), "does not fit its type")
	fails(set(t, jose.JSONWebKey{Key: e, KeyID: "e"}), "private key")
	fails(set(t, jose.JSONWebKey{Key: &r.PublicKey}, jose.JSONWebKey{Key: d}), "private key")
	fails(set(t, jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32))}), "symmetric")
	fails(`{"keys":[]}`, `"keys" is missing or empty`)
	fails(`{}`, `"keys" is missing or empty`)
	fails(`<html>`, "not a JWK set")
	fails(`{"keys":[1]}`, "not a JSON object")
	fails(`{"keys":[`+strings.Repeat("{},", maxKeys)+`{}]}`, "use at most 100")

	// A kid that two keys have tells nobody which is meant; the same key twice, or for other algorithms, does.
	f := ec(t)
	is(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "k"}, jose.JSONWebKey{Key: &f.PublicKey, KeyID: "k"}, jose.JSONWebKey{Key: d.Public(), KeyID: "k"}), "k:EdDSA")
	is(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "k"}, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "k"}), "k:ES256 k:ES256")
	is(set(t, jose.JSONWebKey{Key: &e.PublicKey}, jose.JSONWebKey{Key: &f.PublicKey}), ":ES256 :ES256")
	fails(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "k"}, jose.JSONWebKey{Key: &f.PublicKey, KeyID: "k"}), `several keys have the kid "k"`)
}

func TestShared(t *testing.T) {
	long := table.Secret(strings.Repeat("k", 64))
	keys, err := Shared([]table.SharedKey{{ID: "a", Secret: long[:32]}, {ID: "b", Secret: long[:63]}, {ID: "c", Secret: long}})
	var got []string
	for _, k := range keys {
		got = append(got, k.ID+":"+strings.Join(k.Algorithms, ","))
	}
	if err != nil || strings.Join(got, " ") != "a:HS256 b:HS256,HS384 c:HS256,HS384,HS512" {
		t.Error(got, err)
	}
	if _, err := Shared([]table.SharedKey{{ID: "a", Secret: long[:31]}}); err == nil || !strings.Contains(err.Error(), `"a" has 31 bytes`) {
		t.Error(err)
	}
}

// provider answers by URL and counts.
type provider struct {
	mu      sync.Mutex
	answers map[string]func() (*http.Response, error)
	asked   map[string]int
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[r.URL.String()]++
	if a := p.answers[r.URL.String()]; a != nil {
		return a()
	}
	return answer(404, "")()
}

func (p *provider) on(url string, a func() (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[url] = a
}

func (p *provider) count(url string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[url]
}

func answer(status int, body string, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// scene is one key set fetched in a bubble of fake time.
func scene(t *testing.T, source table.KeySet, play func(p *provider, k *KeySets, s *KeySet, errs func() string)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		p := &provider{answers: map[string]func() (*http.Response, error){}, asked: map[string]int{}}
		var mu sync.Mutex
		last := ""
		k := New(Config{Transport: p, Report: func(_ string, _ Left, err error) {
			mu.Lock()
			defer mu.Unlock()
			last = fmt.Sprint(err)
		}})
		defer k.Close()
		source.ID = "it"
		// Failing until the scene says what is answered.
		k.Set([]*table.KeySet{&source})
		play(p, k, k.Get("it"), func() string {
			mu.Lock()
			defer mu.Unlock()
			return last
		})
	})
}

const uri = "https://keys.example/jwks"

func version(s *KeySet) uint64 {
	_, v := s.Keys()
	return v
}

func TestFetch(t *testing.T) {
	a, b := ec(t), ec(t)
	first := set(t, jose.JSONWebKey{Key: &a.PublicKey, KeyID: "a"})
	second := set(t, jose.JSONWebKey{Key: &b.PublicKey, KeyID: "b"})
	scene(t, table.KeySet{URI: uri}, func(p *provider, k *KeySets, s *KeySet, errs func() string) {
		if version(s) != 0 {
			t.Error("keys before any were fetched")
		}
		synctest.Wait()
		if !strings.Contains(errs(), "not found") {
			t.Errorf("reported %q", errs())
		}
		p.on(uri, answer(200, first))
		time.Sleep(firstRetry)
		synctest.Wait()
		keys, v := s.Keys()
		if v == 0 || keys[0].ID != "a" || errs() != "<nil>" {
			t.Fatalf("keys %v version %d, %s", keys, v, errs())
		}
		// The same answer again: the version stays.
		time.Sleep(lifetime)
		synctest.Wait()
		if version(s) != v || p.count(uri) != 3 {
			t.Errorf("version %d after %d fetches", version(s), p.count(uri))
		}
		// Rubbish and outages of hours: the keys stay.
		for _, bad := range []func() (*http.Response, error){
			answer(200, "<html>"), answer(200, "{}"), answer(500, first), answer(200, strings.Repeat(" ", maxDocument+1)+first),
			answer(302, "", "Location", "https://evil.example/jwks"), answer(302, "", "Location", "http://keys.example/other"),
			func() (*http.Response, error) { return nil, errors.New("connection refused") },
		} {
			p.on(uri, bad)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if version(s) != v || errs() == "<nil>" {
				t.Errorf("version %d, %s", version(s), errs())
			}
		}
		if n := p.count("https://evil.example/jwks") + p.count("http://keys.example/other"); n != 0 {
			t.Errorf("followed %d redirects", n)
		}
		p.on(uri, answer(302, "", "Location", "https://keys.example/moved"))
		p.on("https://keys.example/moved", answer(200, second))
		time.Sleep(lastRetry)
		synctest.Wait()
		if keys, now := s.Keys(); now == v || keys[0].ID != "b" {
			t.Errorf("after the change: version %d, %v; %s", now, keys, errs())
		}
		age := time.Hour
		k.Each(func(_ string, left Left) { age = time.Since(left.Fetched) })
		if age > lastRetry {
			t.Errorf("age %v", age)
		}
	})
}

func TestBackOff(t *testing.T) {
	scene(t, table.KeySet{URI: uri}, func(p *provider, _ *KeySets, s *KeySet, _ func() string) {
		for range 600 {
			time.Sleep(time.Second)
			if again, after := s.Miss("b"); again || after <= 0 {
				t.Fatalf("while the provider fails: %v, %v", again, after)
			}
		}
		// 1, 2, 4, 8, 16, 32 and then every 60 s, less a fifth at most; misses do not hurry it.
		if n := p.count(uri); n < 14 || n > 22 {
			t.Errorf("%d fetches in ten minutes", n)
		}
	})
}

func TestMiss(t *testing.T) {
	good := set(t, jose.JSONWebKey{Key: &ec(t).PublicKey, KeyID: "a"})
	scene(t, table.KeySet{URI: uri}, func(p *provider, _ *KeySets, s *KeySet, _ func() string) {
		p.on(uri, answer(200, good))
		time.Sleep(time.Minute)
		synctest.Wait()
		before := p.count(uri)
		if again, _ := s.Miss("b"); !again {
			t.Error("the first miss brings nothing new")
		}
		if again, after := s.Miss("b"); again || after != 0 {
			t.Errorf("after the fetch: %v, %v; want that there is none", again, after)
		}
		if n := p.count(uri) - before; n != 1 {
			t.Errorf("%d fetches for the first miss, want 1 at once", n)
		}
		for range 1000 {
			s.Miss("b")
			time.Sleep(100 * time.Millisecond)
		}
		// 100 s of misses of one key.
		if n := p.count(uri) - before; n < 10 || n > 14 {
			t.Errorf("%d fetches for 1000 misses in 100 s", n)
		}
		before = p.count(uri)
		for i := range 1000 {
			if again, after := s.Miss(strconv.Itoa(i)); !again && (after <= 0 || after > afterVain) {
				t.Fatalf("another key: come again after %v", after)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// Those of many keys are no more.
		if n := p.count(uri) - before; n < 9 || n > 14 {
			t.Errorf("%d fetches for 1000 keys in 100 s", n)
		}
	})
}

// Keys that change every few seconds are found: at once as a rule, else after a second.
func TestRotation(t *testing.T) {
	scene(t, table.KeySet{URI: uri}, func(p *provider, _ *KeySets, s *KeySet, _ func() string) {
		p.on(uri, answer(200, set(t, jose.JSONWebKey{Key: &ec(t).PublicKey, KeyID: "first"})))
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range 20 {
			id := strconv.Itoa(i)
			p.on(uri, answer(200, set(t, jose.JSONWebKey{Key: &ec(t).PublicKey, KeyID: id})))
			again, after := s.Miss(id)
			if !again && after > 0 && after <= afterFound {
				time.Sleep(after)
				again, _ = s.Miss(id)
			}
			if keys, _ := s.Keys(); !again || len(keys) != 1 || keys[0].ID != id {
				t.Fatalf("key %s: %v, %v", id, again, keys)
			}
			time.Sleep(time.Duration(i) * 200 * time.Millisecond)
		}
	})
}

// Requests that miss one key share a fetch; there is an end to waiting for it.
func TestMissesWait(t *testing.T) {
	scene(t, table.KeySet{URI: uri}, func(p *provider, _ *KeySets, s *KeySet, _ func() string) {
		good := set(t, jose.JSONWebKey{Key: &ec(t).PublicKey, KeyID: "a"})
		p.on(uri, answer(200, good))
		time.Sleep(time.Minute)
		synctest.Wait()
		before := p.count(uri)
		p.on(uri, func() (*http.Response, error) {
			time.Sleep(time.Second)
			return answer(200, good)()
		})
		var again, full atomic.Int32
		var asking sync.WaitGroup
		for range maxWaiting + 10 {
			asking.Go(func() {
				switch ok, after := s.Miss("b"); {
				case ok:
					again.Add(1)
				case after > 0:
					full.Add(1)
				}
			})
		}
		asking.Wait()
		if n := p.count(uri) - before; n != 1 || again.Load() != maxWaiting || full.Load() != 10 {
			t.Errorf("%d fetches; %d waited, %d could not", n, again.Load(), full.Load())
		}
		p.on(uri, func() (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return nil, errors.New("down")
		})
		time.Sleep(afterVain)
		began := time.Now()
		if ok, after := s.Miss("c"); ok || after <= 0 || time.Since(began) > maxWait {
			t.Errorf("a slow provider: %v, %v after %v", ok, after, time.Since(began))
		}
		for i := range 2 * maxAbsent {
			s.Miss("many" + strconv.Itoa(i))
		}
		if n := len(s.misses.absent); n > maxAbsent {
			t.Errorf("%d keys are kept", n)
		}
	})
}

func TestDiscovery(t *testing.T) {
	good := set(t, jose.JSONWebKey{Key: &ec(t).PublicKey, KeyID: "a"})
	is := func(issuer, at, metadata, want string) {
		t.Helper()
		scene(t, table.KeySet{Discovery: issuer}, func(p *provider, _ *KeySets, s *KeySet, errs func() string) {
			p.on(at, answer(200, metadata))
			p.on(uri, answer(200, good))
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if (want == "<nil>") != (version(s) != 0) || !strings.Contains(errs(), want) {
				t.Errorf("%s: version %d, %s; want %s", metadata, version(s), errs(), want)
			}
		})
	}
	const at = "https://issuer.example/.well-known/openid-configuration"
	is("https://issuer.example", at, `{"issuer":"https://issuer.example","jwks_uri":"`+uri+`"}`, "<nil>")
	is("https://issuer.example/", at, `{"issuer":"https://issuer.example/","jwks_uri":"`+uri+`"}`, "<nil>")
	is("https://issuer.example/a", "https://issuer.example/.well-known/oauth-authorization-server/a",
		`{"issuer":"https://issuer.example/a","jwks_uri":"`+uri+`"}`, "<nil>")
	is("https://issuer.example", at, `{"issuer":"https://issuer.example/","jwks_uri":"`+uri+`"}`, "must be equal")
	is("https://issuer.example", at, `{"issuer":"https://evil.example","jwks_uri":"`+uri+`"}`, "must be equal")
	is("https://issuer.example", at, `{"issuer":"https://issuer.example","jwks_uri":"http://keys.example/jwks"}`, "must be https")
	is("https://issuer.example", at, `{"issuer":"https://issuer.example"}`, "must be https")
	is("https://issuer.example", at, `[]`, "not JSON")
	is("https://issuer.example", "https://elsewhere", ``, "not found")
}

func TestSet(t *testing.T) {
	a, b := ec(t), ec(t)
	inline := func(id string, k *ecdsa.PrivateKey) *table.KeySet {
		return &table.KeySet{ID: id, Inline: []byte(set(t, jose.JSONWebKey{Key: &k.PublicKey}))}
	}
	k := New(Config{})
	defer k.Close()
	k.Set([]*table.KeySet{inline("x", a), {ID: "broken", Inline: []byte("{")}})
	x := k.Get("x")
	if x == nil || version(x) == 0 || k.Get("y") != nil {
		t.Fatalf("x is %v", x)
	}
	if broken := k.Get("broken"); broken == nil || version(broken) != 0 {
		t.Error("a broken set has keys")
	}
	k.Set([]*table.KeySet{inline("x", a)})
	if k.Get("x") != x {
		t.Error("an equal set is another one")
	}
	k.Set([]*table.KeySet{inline("x", b)})
	y := k.Get("x")
	if y == x || version(y) == version(x) {
		t.Error("a changed set kept its version")
	}
	k.Set(nil)
	if k.Get("x") != nil {
		t.Error("an unlisted set is still given")
	}
	k.Set([]*table.KeySet{inline("x", b)})
	if k.Get("x") != y {
		t.Error("a set did not survive one table without it")
	}
	k.Set(nil)
	k.Set(nil)
	k.Set([]*table.KeySet{inline("x", b)})
	if k.Get("x") == y {
		t.Error("a set survived two tables without it")
	}
}

func TestFreshness(t *testing.T) {
	is := func(value string, want time.Duration) {
		t.Helper()
		if got := freshness(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	is("", lifetime)
	is("public", lifetime)
	is("public, max-age=300", 5*time.Minute)
	is("Max-Age=300", 5*time.Minute)
	is("max-age=1", minLifetime)
	is("max-age=99999", maxLifetime)
	is("max-age=99999999999999", lifetime)
	is("max-age=x", lifetime)
	is("no-store, max-age=300", minLifetime)
	is("max-age=3600, no-store", minLifetime)
	is("max-age=3600, must-revalidate, no-cache", minLifetime)
	is("max-age=300, max-age=3600", 5*time.Minute)
	is("no-cache", minLifetime)
}
