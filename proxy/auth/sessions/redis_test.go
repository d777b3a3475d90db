package sessions

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What a server answers is proven in test/oidc, with a real one.

func TestNewRedis(t *testing.T) {
	for url, good := range map[string]bool{
		"redis://localhost:6379":                   true,
		"redis://ann:planted@localhost:6379/3":     true,
		"rediss://:planted@localhost":              true,
		"":                                         false,
		"localhost:6379":                           false,
		"https://ann:planted@localhost":            false,
		"redis://ann:planted@localhost:6379/three": false,
		"redis://ann:planted%zz@localhost":         false,
	} {
		_, err := NewRedis(&table.Redis{URL: table.Secret(url)})
		if (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if _, err := NewRedis(&table.Redis{URL: table.Secret("redis://localhost"), CA: []byte("x")}); err == nil {
		t.Error("a CA without TLS")
	}
	if _, err := NewRedis(&table.Redis{URL: table.Secret("rediss://localhost"), CA: []byte("x")}); err == nil {
		t.Error("a CA that is none")
	}
}

// A server that is down is left alone for a moment, and nobody waits for it.
func TestRedisDown(t *testing.T) {
	r, err := NewRedis(&table.Redis{URL: table.Secret("redis://:planted@127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	began := time.Now()
	for range 1000 {
		_, err := r.Get(t.Context(), []Key{key(1)}, time.Minute)
		if err == nil || strings.Contains(err.Error(), "planted") {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("1000 tries took %v", d)
	}
}

func FuzzRedisURL(f *testing.F) {
	f.Add("redis://a:b@c:1/2?x=y")
	f.Add("unix:///tmp/s?db=1")
	f.Fuzz(func(_ *testing.T, url string) {
		if r, err := NewRedis(&table.Redis{URL: table.Secret(url)}); err == nil {
			r.Close()
		}
	})
}
