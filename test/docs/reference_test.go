package docs

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
)

func TestConfigurationListsEveryFlag(t *testing.T) {
	for _, name := range []string{"POD_NAMESPACE", "POD_NAME", "NODE_NAME"} {
		t.Setenv(name, "")
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	flags := 0
	for _, c := range command.New(io.Discard, io.Discard).Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if !c.HasSubCommands() {
			flags += listFlags(&b, c, host)
		}
		for _, sub := range c.Commands() {
			flags += listFlags(&b, sub, host)
		}
	}
	want := b.String() + "\n"
	if got := generated(t, "docs/configuration.md", want); got != want {
		t.Errorf("docs/configuration.md is not what the program says; run go test ./test/docs -update\n got %s\nwant %s", got, want)
	}
	if flags < 20 {
		t.Errorf("found %d flags", flags)
	}
}

func listFlags(w io.Writer, c *cobra.Command, host string) (n int) {
	fmt.Fprintf(w, "\n## %s\n\n%s.\n\n| Flag | Variable | Default | What for |\n|---|---|---|---|\n", c.CommandPath(), c.Short)
	c.InheritedFlags() // which has them among Flags
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		n++
		name, value := "`--"+f.Name+"`", f.DefValue
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		switch value {
		case "", "[]":
			value = ""
		case host:
			value = "the machine's name"
		default:
			value = "`" + value + "`"
		}
		fmt.Fprintf(w, "| %s | `%s` | %s | %s |\n", name, command.EnvironmentVariable(f.Name), value, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
	return n
}

// sources parses the Go files of a tree, without the tests.
func sources(t *testing.T, tree string) (files []*ast.File) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, tree), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		files = append(files, f)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", tree, len(files), err)
	}
	return files
}

func text(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

func TestMetricsListsEverySeries(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| Name | Kind | Labels | What it is |\n|---|---|---|---|\n")
	series := 0
	for _, f := range sources(t, "proxy/telemetry") {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "desc" {
				return true
			}
			var words []string
			for _, a := range call.Args {
				s, ok := text(a)
				if !ok {
					t.Errorf("a series whose name, help and labels are not written out: %v", a)
				}
				words = append(words, s)
			}
			series++
			kind, labels := "gauge", ""
			switch {
			case strings.HasSuffix(words[0], "_total"):
				kind = "counter"
			case strings.HasSuffix(words[0], "_duration_seconds"):
				kind = "histogram"
			}
			if len(words) > 2 {
				labels = "`" + strings.Join(words[2:], "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `gatehouse_%s` | %s | %s | %s |\n", words[0], kind, labels, words[1])
			return true
		})
	}
	want := b.String() + "\n"
	if got := generated(t, "docs/metrics.md", want); got != want {
		t.Errorf("docs/metrics.md is not what the code says; run go test ./test/docs -update\n got %s\nwant %s", got, want)
	}
	if series < 15 {
		t.Errorf("found %d series", series)
	}
}

// codeForm is what a code looks like.
var codeForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// codes finds the codes of the gateway's own answers where the code sets them:
// constants and variables named Code or code..., fields and assignments named
// Code, the string after a status in a call, the second argument of Reply.
func codes(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	note := func(e ast.Expr) {
		if s, ok := text(e); ok && codeForm.MatchString(s) {
			found[s] = true
		}
	}
	for _, tree := range []string{"proxy", "controllers/compile"} {
		for _, f := range sources(t, tree) {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, name := range n.Names {
						if strings.HasPrefix(strings.ToLower(name.Name), "code") && i < len(n.Values) {
							note(n.Values[i])
						}
					}
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
						note(n.Value)
					}
				case *ast.AssignStmt:
					for i, to := range n.Lhs {
						if field, ok := to.(*ast.SelectorExpr); ok && field.Sel.Name == "Code" && i < len(n.Rhs) {
							note(n.Rhs[i])
						}
					}
				case *ast.CallExpr:
					called(n, note)
				}
				return true
			})
		}
	}
	return found
}

func called(call *ast.CallExpr, note func(ast.Expr)) {
	for i := 1; i < len(call.Args); i++ {
		if status, ok := call.Args[i-1].(*ast.BasicLit); ok && status.Kind == token.INT && len(status.Value) == 3 && status.Value >= "300" {
			note(call.Args[i])
		}
	}
	if f, ok := call.Fun.(*ast.SelectorExpr); ok && len(call.Args) >= 2 && strings.HasPrefix(f.Sel.Name, "Reply") {
		note(call.Args[1])
	}
}

func TestAnswersListsEveryCode(t *testing.T) {
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (?:[0-9]{3}|3xx) \\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(page(t, "docs/answers.md"), -1) {
		if told[m[1]] {
			t.Errorf("docs/answers.md lists %s twice", m[1])
		}
		told[m[1]] = true
	}
	unsent := regexp.MustCompile("(?m)^Never sent: (.*)$").FindStringSubmatch(page(t, "docs/answers.md"))
	if unsent != nil {
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(unsent[1], -1) {
			told[m[1]] = true
		}
	}
	found := codes(t)
	for code := range found {
		if !told[code] {
			t.Errorf("docs/answers.md lacks the code %s", code)
		}
	}
	for code := range told {
		if !found[code] {
			t.Errorf("docs/answers.md tells of the code %s, which nothing sends", code)
		}
	}
	if len(found) < 50 {
		t.Errorf("found %d codes in the code", len(found))
	}
}

func TestArchitectureListsEveryPackage(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| Package | What it is |\n|---|---|\n")
	packages := 0
	for _, tree := range []string{"api", "cmd", "controllers", "hack", "proxy", "test"} {
		err := filepath.WalkDir(filepath.Join(root, tree), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			if says := synopsis(t, name); says != "" {
				packages++
				fmt.Fprintf(&b, "| [%s](../%[1]s) | %s |\n", filepath.ToSlash(rel), strings.ReplaceAll(says, "|", `\|`))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := b.String() + "\n"
	if got := generated(t, "docs/architecture.md", want); got != want {
		t.Errorf("docs/architecture.md is not what the packages say; run go test ./test/docs -update\n got %s\nwant %s", got, want)
	}
	if packages < 30 {
		t.Errorf("found %d packages", packages)
	}
}

// synopsis is the first sentence of a package's comment, without "Package x".
func synopsis(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == nil {
			continue
		}
		says := new(doc.Package).Synopsis(f.Doc.Text())
		says = regexp.MustCompile(`^(Package|Command) \S+ (is |holds |has )?`).ReplaceAllString(says, "")
		return strings.TrimSuffix(says, ".")
	}
	return ""
}
