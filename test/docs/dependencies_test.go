package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goCommand runs the go command in root.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", args...)
	c.Dir = root
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// module is what go list says of one.
type module struct {
	Path, Dir string
	Main      bool
}

// direct are the modules that packages of ours import: in the program, and in
// tests and tools alone.
func direct(t *testing.T) (program, tools map[string]module) {
	t.Helper()
	var modules []module
	decoder := json.NewDecoder(strings.NewReader(goCommand(t, "list", "-m", "-json=Path,Dir,Main", "all")))
	for decoder.More() {
		var m module
		if err := decoder.Decode(&m); err != nil {
			t.Fatal(err)
		}
		modules = append(modules, m)
	}
	program, tools = map[string]module{}, map[string]module{}
	const form = `{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}{{range .TestImports}}{{$p}}_test {{.}}{{"\n"}}{{end}}{{range .XTestImports}}{{$p}}_test {{.}}{{"\n"}}{{end}}`
	for _, line := range strings.Split(goCommand(t, "list", "-e", "-tags", "envtest,e2e", "-f", form, "./..."), "\n") {
		from, to, ok := strings.Cut(line, " ")
		if !ok || !strings.Contains(strings.Split(to, "/")[0], ".") {
			continue // the standard library
		}
		var best module
		for _, m := range modules {
			if (to == m.Path || strings.HasPrefix(to, m.Path+"/")) && len(m.Path) > len(best.Path) {
				best = m
			}
		}
		at := strings.TrimPrefix(from, "github.com/gatehouse-dev/gatehouse/")
		switch {
		case best.Main:
		case strings.HasSuffix(from, "_test"), strings.HasPrefix(at, "test/"), strings.HasPrefix(at, "hack/"):
			tools[best.Path] = best
		default:
			program[best.Path] = best
		}
	}
	for path := range program {
		delete(tools, path)
	}
	return program, tools
}

// licences are the SPDX names of those in a module's licence file.
func licences(t *testing.T, m module) string {
	t.Helper()
	if m.Dir == "" { // nothing has needed it on this machine so far
		if err := json.Unmarshal([]byte(goCommand(t, "mod", "download", "-json", m.Path)), &m); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filepath.Glob(filepath.Join(m.Dir, "LICENSE*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s has no licence file: %v", m.Path, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(raw)), " ")
	var names []string
	for _, l := range []struct{ name, phrase string }{
		{"MIT", "Permission is hereby granted, free of charge"},
		{"Apache-2.0", "Apache License,? Version 2"},
		{"BSD-3-Clause", "Neither the name of"},
	} {
		if regexp.MustCompile(l.phrase).MatchString(words) {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, " and ")
}

func TestDependenciesListsEveryModule(t *testing.T) {
	program, tools := direct(t)
	inProgram, inTools, ok := strings.Cut(page(t, "docs/dependencies.md"), "## In tests and tools")
	if !ok {
		t.Fatal("docs/dependencies.md has no part for tests and tools")
	}
	compare := func(text string, want map[string]module) {
		told := map[string]bool{}
		for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(text, -1) {
			told[m[1]] = true
			have, ok := want[m[1]]
			if !ok {
				t.Errorf("docs/dependencies.md lists %s, which nothing imports there", m[1])
			} else if is := licences(t, have); is != m[2] {
				t.Errorf("docs/dependencies.md gives %s the licence %s; its file says %s", m[1], m[2], is)
			}
		}
		for path := range want {
			if !told[path] {
				t.Errorf("docs/dependencies.md lacks %s", path)
			}
		}
	}
	compare(inProgram, program)
	compare(inTools, tools)
}
