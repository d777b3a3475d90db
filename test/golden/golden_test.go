// Package golden shows what the control half makes of a cluster: each file of
// testdata holds objects, the table they become and the status they get, as text.
//
// `go test ./test/golden -update` writes what the pipeline says now; read the
// diff. The pipeline is the pure one: manifests, store, graph, compile; the proxy
// only judges what stands in policies.
package golden

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/compile"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var update = flag.Bool("update", false, "write what the pipeline says now into testdata")

// stage is what the tests of this package work on: the files of a pattern, who reads
// their objects, and how the pipeline is set up.
func stage(t *testing.T, pattern string) ([]string, *manifests.Reader, config) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	checks, err := proxy.NewChecks()
	if err != nil {
		t.Fatal(err)
	}
	return files, reader, config{attach: attach.Config{Controller: controller, Checks: attach.Checks(checks)}}
}

func TestGolden(t *testing.T) {
	files, reader, config := stage(t, "testdata/*.txtar")
	reader.Unruled = true // a cluster may hold what older definitions let through
	chain, key := keyPair(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all, problems := reader.Parse(file, section(archive, "cluster.yaml"))
			var refused string // objects that an API server would refuse too, where the file is about such
			for _, p := range problems {
				refused += p.String()[len("testdata/"):] + "\n"
			}
			if section(archive, "refused") == nil && refused != "" {
				t.Errorf("refused:\n%s", refused)
			}
			for _, m := range all { // a TLS Secret without data gets a key pair
				if s, ok := m.Object.(*corev1.Secret); ok && s.Type == corev1.SecretTypeTLS && s.Data == nil {
					s.Data = map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key}
				}
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{{Name: "cluster.yaml", Data: section(archive, "cluster.yaml")}}}
			if refused != "" {
				got.Files = append(got.Files, txtar.File{Name: "refused", Data: []byte(refused)})
			}
			if config.services = strings.HasPrefix(filepath.Base(file), "services-"); config.services {
				made := config.provisioned(all)
				all = append(all, made...)
				got.Files = append(got.Files, txtar.File{Name: "services", Data: []byte(servicesText(made))})
			}
			g, policies, tbl := build(config, all)
			got.Files = append(got.Files, txtar.File{Name: "table", Data: []byte(tbl.Text())}, txtar.File{Name: "status", Data: []byte(status(g, policies))})
			anyOrder(t, config, all)
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

const controller = "gatehouse.dev/gateway"

// config is how the control half of a file is set up.
type config struct {
	attach   attach.Config
	services bool // Gateways have Services of their own
}

func (c config) graphs() *graph.Builder {
	return graph.NewBuilder(graph.Config{Controller: c.attach.Controller, Ingress: "gatehouse.dev/ingress", Namespace: "system", Services: c.services})
}

func (c config) policies() *attach.Builder { return attach.NewBuilder(c.attach) }

func build(config config, all []*manifests.Manifest) (*graph.Graph, *attach.Policies, *table.Table) {
	s := store.New()
	for _, m := range all {
		s.Apply(m.Object)
	}
	g := config.graphs().Build(s)
	policies := config.policies().Build(s, g)
	return g, policies, compile.New().Compile(g, policies)
}

// anyOrder lets the objects come and go at random, with a build after each
// change: it must always make the table that a first build would make, and a
// build without a change the same parts.
func anyOrder(t *testing.T, config config, all []*manifests.Manifest) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	s, b, a, c := store.New(), config.graphs(), config.policies(), compile.New()
	present := make([]bool, len(all))
	for range 12 * len(all) {
		i := r.IntN(len(all))
		if present[i] && r.IntN(3) > 0 {
			continue // more come than go
		}
		if present[i] {
			s.Delete(kindOf(all[i]), types.NamespacedName{Namespace: all[i].Object.GetNamespace(), Name: all[i].Object.GetName()})
		} else {
			s.Apply(all[i].Object)
		}
		present[i] = !present[i]
		g := b.Build(s)
		policies := a.Build(s, g)
		got := c.Compile(g, policies)
		full := config.graphs().Build(s)
		reached := config.policies().Build(s, full)
		if want := compile.New().Compile(full, reached); got.Hash() != want.Hash() || status(g, policies) != status(full, reached) {
			t.Fatalf("after %s came or went: got:\n%s%s\nwant:\n%s%s", all[i].Name(), got.Text(), status(g, policies), want.Text(), status(full, reached))
		}
		again := c.Compile(b.Build(s), a.Build(s, b.Build(s)))
		if !slices.Equal(got.Listeners, again.Listeners) || !slices.Equal(got.Backends, again.Backends) || !slices.Equal(got.KeySets, again.KeySets) {
			t.Fatal("a build without a change made new parts")
		}
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

func keyPair(t *testing.T) (chain, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*.example.com"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(crand.Reader, cert, cert, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bits, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits})
}
