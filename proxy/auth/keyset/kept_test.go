package keyset

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What one process fetched serves another that cannot, until it can, or until it is
// too old.
func TestKept(t *testing.T) {
	const issuer, at = "https://issuer.example", "https://issuer.example/.well-known/openid-configuration"
	e, r := ec(t), rsaKey(t)
	published := set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e", Use: "sig"}, jose.JSONWebKey{Key: &r.PublicKey, KeyID: "r"},
		jose.JSONWebKey{Key: &r.PublicKey, KeyID: "p", Algorithm: "PS256"})
	metadata := `{"issuer":"` + issuer + `","jwks_uri":"` + uri + `"}`
	up := func(p *provider) {
		p.on(at, answer(200, metadata))
		p.on(uri, answer(200, published))
	}
	var kept []Kept
	scene(t, table.KeySet{Discovery: issuer}, func(p *provider, k *KeySets, _ *KeySet, _ func() string) {
		if synctest.Wait(); len(k.Kept()) != 0 {
			t.Error("something is kept before it was fetched")
		}
		up(p)
		time.Sleep(2 * firstRetry)
		synctest.Wait()
		kept = k.Kept()
		if len(kept) != 1 || kept[0].Source != "it" || time.Since(kept[0].Fetched) > 2*firstRetry {
			t.Fatalf("%+v", kept)
		}
	})
	scene(t, table.KeySet{Discovery: issuer}, func(p *provider, k *KeySets, s *KeySet, errs func() string) {
		synctest.Wait()
		left := func() (l Left) {
			k.Each(func(_ string, is Left) { l = is })
			return l
		}
		if l := left(); l.Failure == nil || l != (Left{Failure: l.Failure}) {
			t.Errorf("%+v", l)
		}
		kept[0].Fetched = time.Now().Add(-time.Hour)
		if err := k.Restore(kept); err != nil {
			t.Fatal(err)
		}
		keys, v := s.Keys()
		if l := left(); len(keys) != 3 || v == 0 || !l.Kept || l.Keys != 3 || time.Since(l.Fetched) != time.Hour || string(s.Metadata()) != metadata {
			t.Fatalf("%v %d %+v %s", keys, v, l, s.Metadata())
		}
		// What another one fetches later is taken too; older things are not.
		newer := kept[0]
		newer.Fetched = time.Now().Add(-time.Minute)
		for _, next := range []Kept{newer, kept[0]} {
			if err := k.Restore([]Kept{next}); err != nil {
				t.Fatal(err)
			}
			if l := left(); time.Since(l.Fetched) != time.Minute || version(s) != v {
				t.Errorf("%+v, version %d", l, version(s))
			}
		}
		if again := k.Kept(); len(again) != 1 || !again[0].Fetched.Equal(newer.Fetched) || string(again[0].Document) != string(kept[0].Document) {
			t.Errorf("kept again: %+v", again)
		}
		// The provider comes back with the same keys: what was verified stays so.
		up(p)
		time.Sleep(lastRetry)
		synctest.Wait()
		if l := left(); l.Kept || l.Failure != nil || version(s) != v || errs() != "<nil>" {
			t.Errorf("%+v, version %d, %s", l, version(s), errs())
		}
		// From now on nobody knows better.
		future := kept[0]
		future.Fetched = time.Now().Add(time.Minute)
		if err := k.Restore([]Kept{future}); err != nil || left().Kept {
			t.Error(err, left())
		}
		// Fetched keys have no end, while the process lives.
		p.on(uri, answer(503, ""))
		if time.Sleep(2 * MaxAge); version(s) != v {
			t.Error("what was fetched has gone")
		}
	})
	scene(t, table.KeySet{Discovery: issuer}, func(_ *provider, k *KeySets, s *KeySet, _ func() string) {
		kept[0].Fetched = time.Now()
		if err := k.Restore(kept); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(MaxAge - lastRetry); version(s) == 0 {
			t.Error("it ended too soon")
		}
		time.Sleep(3 * lastRetry)
		if synctest.Wait(); version(s) != 0 || s.Metadata() != nil || len(k.Kept()) != 0 {
			t.Error("it has no end")
		}
		if err := k.Restore(kept); err == nil || !strings.Contains(err.Error(), "they count for 72h0m0s") || version(s) != 0 {
			t.Error(err)
		}
	})
}

// A table that comes later finds what was kept, and only its own.
func TestKeptBefore(t *testing.T) {
	e := ec(t)
	document := []byte(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"}))
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answers: map[string]func() (*http.Response, error){}, asked: map[string]int{}}
		k := New(Config{Transport: p})
		defer k.Close()
		private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: e, KeyID: "e"}}})
		if err != nil {
			t.Fatal(err)
		}
		err = k.Restore([]Kept{
			{Source: "uri " + uri, Fetched: time.Now(), Document: document},
			{Source: "uri private", Fetched: time.Now(), Document: private},
			{Source: "uri rubbish", Fetched: time.Now(), Document: []byte("<html>")},
			{Source: "uri ahead", Fetched: time.Now().Add(time.Hour), Document: document},
			{Source: "inline", Fetched: time.Now(), Document: document},
		})
		for _, want := range []string{"of uri private: key 0: the key set holds a private key", "of uri rubbish: not a JWK set", "of uri ahead: they were fetched at 2000-01-01T01:00:00Z"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		k.Set([]*table.KeySet{{ID: "uri " + uri, URI: uri}, {ID: "uri private", URI: uri}, {ID: "uri else", URI: uri + "/else"}, {ID: "inline", Inline: []byte("{}")}})
		for id, want := range map[string]bool{"uri " + uri: true, "uri private": false, "uri else": false, "inline": false} {
			if got := version(k.Get(id)) != 0; got != want {
				t.Errorf("%s has keys: %v, want %v", id, got, want)
			}
		}
	})
}

// What is written holds nothing but what Parse took, within bounds.
func TestKeptDocument(t *testing.T) {
	e := ec(t)
	keys, err := Parse([]byte(strings.Replace(set(t, jose.JSONWebKey{Key: &e.PublicKey, KeyID: "e"}), `"kty"`, `"note":"secret","x5c":[],"kty"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := write(&state{keys: keys, metadata: []byte(`{"a":"` + strings.Repeat("x", maxMetadata) + `"}`)})
	if err != nil || len(text) > 300 || strings.Contains(string(text), "secret") || strings.Contains(string(text), "metadata") {
		t.Errorf("%s, %v", text, err)
	}
	keys[0].Public = e
	if text, err := write(&state{keys: keys}); err == nil {
		t.Errorf("a private key was written: %s", text)
	}
	keys[0].Public = []byte("a secret")
	if text, err := write(&state{keys: keys}); err == nil {
		t.Errorf("a secret was written: %s", text)
	}
}
