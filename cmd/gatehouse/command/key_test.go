package command

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
)

// run is what a command prints to standard output and error.
func run(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	c := New(&o, &e)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

func TestNewKeysAreReadAsTheyWereMeant(t *testing.T) {
	out, errs, err := run(t, "key", "new", "acme", "-n", "shop", "--for", "orders", "--subject", "Acme Inc", "--owner", "ann", "--scopes", "a,b", "--plan", "gold", "--expires", "30d", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`ghk_\w+`).FindString(errs)
	s := &corev1.Secret{}
	if err := yaml.UnmarshalStrict([]byte(out), s); err != nil || text == "" || strings.Contains(out, text) {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	s.Data = map[string][]byte{"keyHash": []byte(s.StringData["keyHash"])} // as an API server keeps it
	k, err := keysecret.ParseAPIKey(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := keysecret.ParseAPIKey(&corev1.Secret{Data: map[string][]byte{"apiKey": []byte(text)}})
	if err != nil || again.Hash != k.Hash {
		t.Errorf("the hash is not the key's: %v", err)
	}
	if k.Subject != "Acme Inc" || strings.Join(k.Scopes, "+") != "a+b" || k.Plan != "gold" || k.Metadata["owner"] != "ann" || s.Labels[keyLabel] != "orders" || s.Namespace != "shop" {
		t.Errorf("%+v %v", k, s.Labels)
	}
	if d := time.Until(time.Unix(k.Expires, 0)); d < 29*24*time.Hour || d > 31*24*time.Hour {
		t.Errorf("it lives for %v", d)
	}
	for _, args := range [][]string{
		{"key", "new", "acme", "--dry-run"},
		{"key", "new", "acme", "--for", "x", "--expires", "soon", "--dry-run"},
		{"key", "new", "--dry-run"},
		{"key", "new", "Acme_1", "--for", "x", "--dry-run"},
		{"key", "new", "acme", "--for", "all orders", "--dry-run"},
		{"key", "new", "acme", "--label", "/=x", "--dry-run"},
	} {
		if out, _, err := run(t, args...); err == nil {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func TestSuccessor(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	key := func(name, more string) corev1.Secret {
		s := corev1.Secret{}
		text := "metadata: {name: " + name + ", namespace: shop, creationTimestamp: '2026-11-01T00:00:00Z', labels: {gatehouse.dev/api-key: orders}, annotations: {gatehouse.dev/subject: acme" + more + "}}\ndata: {apiKey: " + "YQ==}\n"
		if err := yaml.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	is := func(want string, old corev1.Secret, others ...corev1.Secret) {
		t.Helper()
		next, err := successor(&old, append(others, old), now)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = next.Name + " " + next.Annotations["gatehouse.dev/subject"] + " " + next.Annotations["gatehouse.dev/expires-at"] + next.Annotations["gatehouse.dev/not-before"]
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	is("acme-2 acme", key("acme", ""))
	is("acme-3 acme", key("acme-2", ""))
	is("acme-3 acme", key("acme", ""), key("acme-2", ", gatehouse.dev/expires-at: '2026-11-02T00:00:00Z'"))
	is("shop/acme: more than one key of the holder is live already; revoke one first: acme-2, acme", key("acme", ""), key("acme-2", ""))
	is("acme-2 acme 2026-12-25T12:00:00Z", key("acme", ", gatehouse.dev/expires-at: '2026-12-01T00:00:00Z'"))
	is("acme-2 acme 2026-12-05T12:00:00Z", key("acme", ", gatehouse.dev/not-before: '2026-11-21T00:00:00Z', gatehouse.dev/expires-at: '2026-12-01T00:00:00Z'"))
}

func TestHelpOfEveryCommandNamesAnExample(t *testing.T) {
	for _, c := range New(io.Discard, io.Discard).Commands() {
		if c.Runnable() && c.Name() != "help" && c.Name() != "completion" && c.Name() != "version" && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
}
