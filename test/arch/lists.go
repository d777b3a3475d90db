package arch

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/tools/go/packages"
)

// Closure lists the modules that provide what the packages matching the patterns reach, sorted, without our own and
// without versions (go.mod has those).
func Closure(m *Module, patterns ...string) []string {
	modules, seen := map[string]bool{}, map[string]bool{}
	var walk func(*packages.Package)
	walk = func(p *packages.Package) {
		if seen[p.PkgPath] {
			return
		}
		seen[p.PkgPath] = true
		if p.Module != nil && p.Module.Path != m.Path {
			modules[p.Module.Path] = true
		}
		for _, next := range p.Imports {
			walk(next)
		}
	}
	for _, p := range m.Packages {
		if Match(p.Rel, patterns...) {
			walk(p.graph)
		}
	}
	return slices.Sorted(maps.Keys(modules))
}

// Diff lists what got has and want has not ("+ x"), and the other way round ("- x"), sorted by x.
func Diff(want, got []string) (out []string) {
	for _, line := range got {
		if !slices.Contains(want, line) {
			out = append(out, "+ "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			out = append(out, "- "+line)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return out
}

// Lines splits a list into its entries, without blank lines and '#' comments.
func Lines(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// CheckText looks for forbidden words in the files, given relative to dir. Files that are not UTF-8 text are not read as
// text; a file listed but absent (deleted and not yet committed) has no words.
func CheckText(dir string, files []string, rules []textRule) (out []Violation, err error) {
	compiled := make([]*regexp.Regexp, len(rules))
	for i, r := range rules {
		if compiled[i], err = regexp.Compile(r.pattern); err != nil {
			return nil, err
		}
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(text) {
			continue
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			for i, re := range compiled {
				if word := re.Find(line); word != nil {
					out = append(out, Violation{"text", name + ":" + strconv.Itoa(n), strconv.Quote(string(word)) + ": " + rules[i].why})
				}
			}
		}
	}
	return out, nil
}
