package golden

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/migrate"
)

// class is the GatewayClass of what was migrated.
const class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: gatehouse}\nspec: {controllerName: " + controller + "}\n"

// TestMigrate shows what becomes of Ingresses: the manifests, the account, and the
// table that the pipeline makes of the manifests, with no fault in them.
func TestMigrate(t *testing.T) {
	files, reader, config := stage(t, "testdata/migrate/*.txtar")
	chain, key := keyPair(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parse := func(text []byte) []*manifests.Manifest {
				all, problems := reader.Parse(file, text)
				for _, p := range problems {
					t.Error(p)
				}
				return all
			}
			in := migrate.Input{Gateway: types.NamespacedName{Namespace: "infra", Name: "edge"}, Class: "gatehouse"}
			var beside []*manifests.Manifest
			for _, m := range parse(section(archive, "ingress.yaml")) {
				switch o := m.Object.(type) {
				case *networkingv1.Ingress:
					in.Ingresses = append(in.Ingresses, o)
					continue
				case *corev1.Service:
					in.Services = append(in.Services, o)
				case *corev1.Secret:
					o.Data = map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key}
				}
				beside = append(beside, m)
			}
			out := migrate.Migrate(in)
			text, err := migrate.YAML(out.Objects)
			if err != nil {
				t.Fatal(err)
			}
			var account strings.Builder
			for _, e := range out.Account {
				account.WriteString(e.String() + "\n")
			}
			g, policies, tbl := build(config, slices.Concat(parse([]byte(class)), beside, parse(text)))
			for _, c := range controllers.Conditions(g, policies) {
				if c.Faulty() {
					t.Error(c)
				}
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{
				{Name: "ingress.yaml", Data: section(archive, "ingress.yaml")},
				{Name: "manifests.yaml", Data: text},
				{Name: "account", Data: []byte(account.String())},
				{Name: "table", Data: []byte(tbl.Text())},
			}}
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if have, err := os.ReadFile(file); err != nil || string(have) != string(txtar.Format(got)) {
				t.Errorf("got:\n%s", txtar.Format(got))
			}
		})
	}
}
