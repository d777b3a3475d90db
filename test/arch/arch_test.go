package arch

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "rewrite proxy-closure.txt; shrink planned.txt and exceptions.txt")

const top = "../.."

// house loads the module once for all tests.
var house = sync.OnceValues(func() (*Module, error) {
	if err := observe(); err != nil {
		return nil, err
	}
	return Load(top)
})

// observe opens every folder of the module. The go command reuses a passing result while nothing the test itself opened
// has changed, and what go list and git read does not count: without this a new package would go unseen.
func observe() error {
	_, _ = os.Stat(filepath.Join(top, ".git", "index")) // not there in a linked worktree
	return filepath.WalkDir(top, func(_ string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil // gone since its folder was read
		case err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return fs.SkipDir
		}
		return err
	})
}

func loadHouse(t *testing.T) *Module {
	t.Helper()
	m, err := house()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRules(t *testing.T) {
	m := loadHouse(t)
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) { report(t, r.Says, r.Check(m)) })
	}
}

func TestNamedRooms(t *testing.T) {
	m := loadHouse(t)
	planned := Lines(read(t, "planned.txt"))
	if *update {
		planned = slices.DeleteFunc(planned, func(room string) bool { return m.Package(room) != nil })
		rewrite(t, "planned.txt", planned)
	}
	for _, room := range planned {
		if !slices.Contains(namedRooms(), room) && !slices.Contains(namedRooms(), room+"/**") {
			t.Errorf("planned.txt: no rule names %s", room)
		}
	}
	report(t, "a rule names only packages that exist or are planned", CheckRooms(m, namedRooms(), planned))
}

func TestBudgets(t *testing.T) {
	sizes := Measure(loadHouse(t))
	exceptions, err := ParseExceptions(read(t, "exceptions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		exceptions = Shrink(sizes, exceptions)
		var lines []string
		for key, n := range exceptions {
			lines = append(lines, fmt.Sprintf("%s %d", key, n))
		}
		slices.Sort(lines)
		rewrite(t, "exceptions.txt", lines)
	}
	report(t, "budgets", CheckBudgets(sizes, exceptions))
	t.Logf("p90: files %d lines (goal %d), functions %d lines (goal %d)",
		P90(sizes, "file"), goalFileLines, P90(sizes, "func"), goalFuncLines)
}

func TestProxyClosure(t *testing.T) {
	got := Closure(loadHouse(t), "proxy/**")
	if *update {
		rewrite(t, "proxy-closure.txt", got)
	}
	if diff := Diff(Lines(read(t, "proxy-closure.txt")), got); len(diff) > 0 {
		t.Errorf("the proxy's dependencies changed; if that is meant: go test ./test/arch -update\n%s", strings.Join(diff, "\n"))
	}
}

func TestText(t *testing.T) {
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = top
	names, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	files := strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00")
	got, err := CheckText(top, files, forbiddenText)
	if err != nil {
		t.Fatal(err)
	}
	report(t, "words no tracked file holds", got)
}

func report(t *testing.T, says string, violations []Violation) {
	t.Helper()
	if len(violations) == 0 {
		return
	}
	var lines []string
	for _, v := range violations {
		lines = append(lines, v.String())
	}
	t.Errorf("%s:\n%s", says, strings.Join(lines, "\n"))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rewrite replaces the entries of a list and keeps the comment at its head.
func rewrite(t *testing.T, name string, entries []string) {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(read(t, name)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		out.WriteString(line)
	}
	for _, e := range entries {
		out.WriteString(e + "\n")
	}
	if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
