// Package golden shows what the control half makes of a cluster: each file of
// testdata holds objects, the table they become and the status they get, as text.
//
// `go test ./test/golden -update` writes what the pipeline says now; read the
// diff. The pipeline is the pure one: manifests, store, graph, compile.
package golden

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers/compile"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var update = flag.Bool("update", false, "write what the pipeline says now into testdata")

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	config := graph.Config{Controller: "gatehouse.dev/gateway", Checks: checks(t)}
	chain, key := keyPair(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all, problems := reader.Parse(file, section(archive, "cluster.yaml"))
			for _, p := range problems {
				t.Error(p)
			}
			for _, m := range all { // a TLS Secret without data gets a key pair
				if s, ok := m.Object.(*corev1.Secret); ok && s.Type == corev1.SecretTypeTLS && s.Data == nil {
					s.Data = map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key}
				}
			}
			g, tbl := build(config, all)
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{
				{Name: "cluster.yaml", Data: section(archive, "cluster.yaml")},
				{Name: "table", Data: []byte(tbl.Text())},
				{Name: "status", Data: []byte(status(g))},
			}}
			anyOrder(t, config, all, tbl)
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, f := range got.Files {
				if want := section(archive, f.Name); !bytes.Equal(f.Data, want) {
					t.Errorf("%s: got:\n%s\nwant:\n%s", f.Name, f.Data, want)
				}
			}
		})
	}
}

func build(config graph.Config, all []*manifests.Manifest) (*graph.Graph, *table.Table) {
	s := store.New()
	for _, m := range all {
		s.Apply(m.Object)
	}
	g := graph.NewBuilder(config).Build(s)
	return g, compile.Compile(g)
}

// anyOrder lets the objects arrive one by one, the last first, with a build
// after each, then go and come back one by one: the table must end as the same,
// and a build without a change must give the same parts.
func anyOrder(t *testing.T, config graph.Config, all []*manifests.Manifest, want *table.Table) {
	t.Helper()
	s, b, c := store.New(), graph.NewBuilder(config), compile.New()
	for _, m := range slices.Backward(all) {
		s.Apply(m.Object)
		c.Compile(b.Build(s))
	}
	for _, m := range all {
		s.Delete(kindOf(m), types.NamespacedName{Namespace: m.Object.GetNamespace(), Name: m.Object.GetName()})
		c.Compile(b.Build(s))
		s.Apply(m.Object)
		got := c.Compile(b.Build(s))
		if got.Hash() != want.Hash() {
			t.Errorf("after %s came back: got:\n%s\nwant:\n%s", m.Name(), got.Text(), want.Text())
		}
	}
	first, again := c.Compile(b.Build(s)), c.Compile(b.Build(s))
	if !slices.Equal(first.Listeners, again.Listeners) || !slices.Equal(first.Backends, again.Backends) || !slices.Equal(first.KeySets, again.KeySets) {
		t.Error("a build without a change made new parts")
	}
}

func kindOf(m *manifests.Manifest) store.Kind {
	kind, _, _ := strings.Cut(m.Name(), " ")
	return store.Kind(kind)
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// checks are those of the real proxy.
func checks(t *testing.T) graph.Checks {
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	return graph.Checks{
		Condition: func(cel string) error { return env.Check(cel, expr.Bool) },
		Value:     func(cel string) error { return env.Check(cel, expr.String) },
		Require: func(requirement string, methods []string) error {
			_, err := table.ParseRequire(requirement, methods)
			return err
		},
		KeySet: func(document []byte) error {
			_, err := keyset.Parse(document, true)
			return err
		},
		Schema: func(document []byte) error {
			parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
			if err != nil {
				return err
			}
			c := jsonschema.NewCompiler()
			if err := c.AddResource("schema.json", parsed); err != nil {
				return err
			}
			if _, err = c.Compile("schema.json"); err != nil {
				return errors.New("it is not a JSON Schema of draft 2020-12")
			}
			return nil
		},
		Password: func(hash string) error {
			if !strings.HasPrefix(hash, "{SHA}") {
				return errors.New("the hash is of an unknown kind")
			}
			return nil
		},
	}
}

func keyPair(t *testing.T) (chain, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"*.example.com"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bits, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits})
}
