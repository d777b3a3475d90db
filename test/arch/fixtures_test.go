package arch

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestFixtures shows each rule failing. A fixture is a txtar of one small module; the first line of its comment names the
// rule, its file "want" lists exactly the violations that rule finds in it.
func TestFixtures(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := strings.Cut(string(archive.Comment), "\n")
		check, want := ruleByID(t, id), wanted(archive)
		shown[id] = len(want) > 0
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			got := found(check(unpack(t, archive)))
			if !slices.Equal(got, want) {
				t.Errorf("found:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	for _, r := range Rules() {
		if !shown[r.ID] {
			t.Errorf("%s: no fixture shows it failing", r.ID)
		}
	}
}

func ruleByID(t *testing.T, id string) func(*Module) []Violation {
	t.Helper()
	if id == "N11" {
		return func(m *Module) []Violation { return CheckBudgets(Measure(m), nil) }
	}
	for _, r := range Rules() {
		if r.ID == id {
			return r.Check
		}
	}
	t.Fatalf("no rule %q", id)
	return nil
}

// unpack writes the archive into a folder of its own and loads it.
func unpack(t *testing.T, archive *txtar.Archive) *Module {
	t.Helper()
	m, err := tryUnpack(t, archive)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tryUnpack loads without a network and without a workspace.
func tryUnpack(t *testing.T, archive *txtar.Archive) (*Module, error) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir, "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
}

// TestLoadRefuses a module it cannot see whole: what was not looked at has not been checked.
func TestLoadRefuses(t *testing.T) {
	is := func(source, want string) {
		t.Helper()
		archive := &txtar.Archive{Files: []txtar.File{
			{Name: "go.mod", Data: []byte("module example.test/gate\n\ngo 1.26.0\n")},
			{Name: "p/p.go", Data: []byte(source)},
		}}
		if _, err := tryUnpack(t, archive); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", source, err, want)
		}
	}
	is("package p\n\nfunc {\n", "p.go:3:6")
	is("package p\n\nimport _ \"example.test/gate/gone\"\n", "example.test/gate/gone")
	is("package p\n\nimport _ \"example.org/unknown\"\n", "example.org/unknown")
}

func wanted(archive *txtar.Archive) []string {
	for _, f := range archive.Files {
		if f.Name == "want" {
			return sorted(Lines(string(f.Data)))
		}
	}
	return nil
}

func found(violations []Violation) []string {
	var out []string
	for _, v := range violations {
		out = append(out, v.String())
	}
	return sorted(out)
}

func sorted(lines []string) []string {
	slices.Sort(lines)
	return lines
}

func TestMatch(t *testing.T) {
	is := func(want bool, path string, patterns ...string) {
		t.Helper()
		if got := Match(path, patterns...); got != want {
			t.Errorf("Match(%q, %q) = %v", path, patterns, got)
		}
	}
	is(true, "proxy/mem", "proxy/mem")
	is(false, "proxy/mem/x", "proxy/mem")
	is(true, "proxy/auth/jwt", "proxy/auth/*")
	is(false, "proxy/auth", "proxy/auth/*")
	is(false, "proxy/auth/jwt/keys", "proxy/auth/*")
	is(true, "proxy", "proxy/**")
	is(true, "proxy/auth/jwt", "api", "proxy/**")
	is(false, "proxytest", "proxy/**")
}

func TestLayerOrder(t *testing.T) {
	is := func(table []layer, want ...string) {
		t.Helper()
		if got := found(checkOrder(table)); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	is(layers)
	is([]layer{{"a", nil}, {"b", []string{"a"}}, {"top", []string{"top/**"}}})
	is([]layer{{"a", []string{"b"}}, {"b", nil}}, "N8 a: its row names b, which is not below it")
	is([]layer{{"a", []string{"a"}}}, "N8 a: its row names a, which is not below it")
}

func TestRoomsMayNotVanish(t *testing.T) {
	m := &Module{Packages: []*Package{{Rel: "here"}}}
	is := func(named, planned []string, want ...string) {
		t.Helper()
		if got := found(CheckRooms(m, named, planned)); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	is([]string{"here", "here/**", "leaf/*"}, nil)
	is([]string{"later"}, []string{"later"})
	is([]string{"gone"}, nil, "rooms gone: a rule names this package and it does not exist")
	is([]string{"here"}, []string{"here"}, "rooms here: is built: take it out of planned.txt (-update does)")
}

func TestExceptionsOnlyShrink(t *testing.T) {
	const key = "file a.go"
	is := func(size int, exceptions map[string]int, want ...string) {
		t.Helper()
		if got := found(CheckBudgets([]Size{{"file", "a.go", size, 500}}, exceptions)); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	is(500, nil)
	is(501, nil, "N11 a.go: file of 501, budget 500")
	is(600, map[string]int{key: 600})
	is(601, map[string]int{key: 600}, "N11 a.go: file of 601, budget 600")
	is(599, map[string]int{key: 600}, "N11 a.go: shrank to 599: lower its exception (-update does)")
	is(500, map[string]int{key: 600}, "N11 a.go: no longer an exception: strike it from exceptions.txt (-update does)")
	is(1, map[string]int{"file b.go": 600}, "N11 b.go: gone: strike it from exceptions.txt (-update does)")

	shrunk := Shrink([]Size{{"file", "a.go", 550, 500}, {"file", "b.go", 900, 500}}, map[string]int{key: 600, "file b.go": 800, "file c.go": 700})
	if want := map[string]int{key: 550, "file b.go": 800}; !reflect.DeepEqual(shrunk, want) {
		t.Errorf("Shrink = %v, want %v", shrunk, want)
	}
}

func TestParseExceptions(t *testing.T) {
	got, err := ParseExceptions("# why\nfile a.go 600\n\nfunc p.(*T).long 90 # soon\n")
	if want := map[string]int{"file a.go": 600, "func p.(*T).long": 90}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"a.go 600", "file a.go many", "file a.go 600 lines"} {
		if _, err := ParseExceptions(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestClosureDrift(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/n1_chain.txtar")
	if err != nil {
		t.Fatal(err)
	}
	got := Closure(unpack(t, archive), "proxy/**")
	if want := []string{"example.org/far", "k8s.io/client-go"}; !slices.Equal(got, want) {
		t.Errorf("Closure = %q, want %q", got, want)
	}
	if diff, want := Diff([]string{"example.org/far", "old.org/x"}, got), []string{"+ k8s.io/client-go", "- old.org/x"}; !slices.Equal(diff, want) {
		t.Errorf("Diff = %q, want %q", diff, want)
	}
}

func TestTextIsFound(t *testing.T) {
	dir := t.TempDir()
	is := func(text, want string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("clean\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		violations, err := CheckText(dir, []string{"f", "deleted"}, forbiddenText)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, v := range violations {
			word, _, _ := strings.Cut(v.What, ": ")
			words = append(words, v.Where+" "+word)
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q: found %s, want %s", text, got, want)
		}
	}
	// Each word is spelled in two halves: this file is tracked too.
	is("see .."+"/shared/x", `f:2 "../`+`shared"`)
	is("cd /wo"+"rk/main", `f:2 " /wo`+`rk/"`)
	is("/ro"+"ot/go/pkg", `f:2 "/ro`+`ot/go"`)
	is("cat /tm"+"p/brief", `f:2 "/tm`+`p/brief"`)
	is("GOPROXY=https://proxy.golang"+".org", `f:2 "proxy.golang`+`.org"`)
	is("// TO"+"DO mend", `f:2 "TO`+`DO"`)
	is("context.TO"+"DO()", `f:2 "TO`+`DO"`)
	is("// FIX"+"ME", `f:2 "FIX`+`ME"`)
	is("// XX"+"X", `f:2 "XX`+`X"`)
	is("a stub, for n"+"ow.", `f:2 "for n`+`ow."`)
	is("see Issue"+" #12", `f:2 "Issue`+` #1"`)
	is("by Clau"+"de", `f:2 "Clau`+`de"`)
	is("framework/x, shared, /workers/, todos, issuer 1, wait for now", "")
}
