package docs

import (
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

// aLimit is the form of the flags that bound something.
var aLimit = regexp.MustCompile(`^max-|-timeout$|-queue$`)

func TestLimitsListsEveryFlag(t *testing.T) {
	told := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `--([a-z0-9-]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(page(t, "docs/limits.md"), -1) {
		told[m[1]] = m[2]
	}
	run, _, err := command.New(io.Discard, io.Discard).Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range told {
		if f := run.Flags().Lookup(name); f == nil || f.DefValue != value {
			t.Errorf("docs/limits.md says that --%s is %s by default; the program has %+v", name, value, f)
		}
	}
	for name := range strings.FieldsSeq(run.Flags().FlagUsages()) {
		if name, ok := strings.CutPrefix(name, "--"); ok && aLimit.MatchString(name) && run.Flags().Lookup(name) != nil && told[name] == "" {
			t.Errorf("docs/limits.md lacks --%s", name)
		}
	}
	if len(told) < 20 {
		t.Errorf("found %d flags", len(told))
	}
}

func TestLimitsTellsTheConstants(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| [^|]+ \\| `([a-z0-9/]+)\\.([a-zA-Z]+)` \\| ([0-9]+) \\|").FindAllStringSubmatch(page(t, "docs/limits.md"), -1)
	for _, m := range rows {
		if got := constant(t, m[1], m[2]); got != m[3] {
			t.Errorf("docs/limits.md says that %s.%s is %s; it is %q", m[1], m[2], m[3], got)
		}
	}
	if len(rows) < 10 {
		t.Errorf("found %d constants", len(rows))
	}
}

// constant is the value of a package's constant; empty when it has none of that name.
func constant(t *testing.T, tree, name string) (value string) {
	t.Helper()
	for _, f := range sources(t, tree) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, id := range spec.Names {
				if id.Name == name && i < len(spec.Values) {
					v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[i]))
					if err != nil {
						t.Fatalf("%s.%s: %v", tree, name, err)
					}
					value = v.Value.ExactString()
				}
			}
			return true
		})
	}
	return value
}

// What GatewayParameters can bound is told, and nothing else.
func TestLimitsTellsEveryField(t *testing.T) {
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `([a-z][A-Za-z]+)` \\|").FindAllStringSubmatch(page(t, "docs/limits.md"), -1) {
		told[m[1]] = true
	}
	limits := reflect.TypeFor[v1alpha1.ClientLimits]()
	for i := range limits.NumField() {
		name, _, _ := strings.Cut(limits.Field(i).Tag.Get("json"), ",")
		if !told[name] {
			t.Errorf("docs/limits.md lacks %s", name)
		}
		delete(told, name)
	}
	for name := range told {
		t.Errorf("docs/limits.md tells of %s, which there is not", name)
	}
}
