package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func checkProxyClosure(m *Module) []Violation { return checkClosure(m, "N1", proxyRooms, proxyBanned) }

// checkClosure walks everything the subjects reach and reports each way in to a banned package, with the chain of imports
// that leads there. The walk stops at other subjects (they answer for themselves) and at the banned package (what lies
// beyond it is not the news). Tests of the subjects may not import a banned package either.
func checkClosure(m *Module, id string, subjects, banned []string) (out []Violation) {
	for _, p := range m.Packages {
		if !Match(p.Rel, subjects...) {
			continue
		}
		for _, chain := range m.waysIn(p, subjects, banned) {
			out = append(out, Violation{id, p.Rel, "reaches " + chain[len(chain)-1] + ": " + strings.Join(chain, " -> ")})
		}
		for _, f := range p.Files {
			for _, path := range f.Imports {
				if f.Test && Match(m.local(path), banned...) {
					out = append(out, Violation{id, f.Rel, "the test imports " + m.short(path)})
				}
			}
		}
	}
	return out
}

func (m *Module) waysIn(p *Package, subjects, banned []string) [][]string {
	type step struct {
		pkg  *packages.Package
		from *step
	}
	var found [][]string
	seen := map[string]bool{p.graph.PkgPath: true}
	queue := []*step{{pkg: p.graph}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, key := range slices.Sorted(maps.Keys(at.pkg.Imports)) {
			next := at.pkg.Imports[key]
			if seen[next.PkgPath] {
				continue
			}
			seen[next.PkgPath] = true
			rel, ours := m.ours(next.PkgPath)
			switch {
			case Match(m.local(next.PkgPath), banned...):
				chain := []string{m.short(next.PkgPath)}
				for s := at; s != nil; s = s.from {
					chain = append(chain, m.short(s.pkg.PkgPath))
				}
				slices.Reverse(chain)
				found = append(found, chain)
			case ours && Match(rel, subjects...):
			default:
				queue = append(queue, &step{next, at})
			}
		}
	}
	return found
}

// short drops the module path from packages of ours, for reading.
func (m *Module) short(path string) string { return strings.TrimPrefix(m.local(path), "./") }

// eachImport visits the direct imports of the files that keep says.
func (m *Module) eachImport(keep func(*Package, *File) bool, visit func(p *Package, f *File, path string)) {
	for _, p := range m.Packages {
		for _, f := range p.Files {
			if !keep(p, f) {
				continue
			}
			for _, path := range f.Imports {
				visit(p, f, path)
			}
		}
	}
}

// within keeps all files of the packages that match, tests included.
func within(patterns ...string) func(*Package, *File) bool {
	return func(p *Package, _ *File) bool { return Match(p.Rel, patterns...) }
}

// productOf keeps the files of the packages that match, without tests.
func productOf(patterns ...string) func(*Package, *File) bool {
	return func(p *Package, f *File) bool { return !f.Test && Match(p.Rel, patterns...) }
}

func checkControllersImport(m *Module) (out []Violation) {
	m.eachImport(within("controllers/**"), func(_ *Package, f *File, path string) {
		if rel, ours := m.ours(path); ours && Match(rel, "proxy/**") && rel != "proxy/table" {
			out = append(out, Violation{"N2", f.Rel, "imports " + rel + "; of the proxy only proxy/table"})
		}
	})
	return out
}

func checkBothHalves(m *Module) (out []Violation) {
	for _, p := range m.Packages {
		if Match(p.Rel, "cmd/**", "test/**") {
			continue
		}
		var control, data string
		for _, f := range p.Files {
			for _, path := range f.Imports {
				rel, ours := m.ours(path)
				if ours && Match(rel, "controllers/**") {
					control = rel
				}
				if ours && Match(rel, "proxy/**") && rel != "proxy/table" {
					data = rel
				}
			}
		}
		if control != "" && data != "" {
			out = append(out, Violation{"N3", p.Rel, "imports both halves, " + control + " and " + data})
		}
	}
	return out
}

func checkStdOnly(m *Module) (out []Violation) {
	m.eachImport(productOf(stdOnlyRooms...), func(_ *Package, f *File, path string) {
		_, ours := m.ours(path)
		first, _, _ := strings.Cut(path, "/")
		if ours || strings.Contains(first, ".") {
			out = append(out, Violation{"N4", f.Rel, "imports " + m.short(path) + "; std only"})
		}
	})
	anywhere := func(_ *Package, f *File) bool { return !f.Test }
	m.eachImport(anywhere, func(p *Package, f *File, path string) {
		if path == "unsafe" && !Match(p.Rel, unsafeRooms...) {
			out = append(out, Violation{"N4", f.Rel, "imports unsafe; only " + strings.Join(unsafeRooms, " and ") + " may"})
		}
	})
	return out
}

func checkPure(m *Module) []Violation {
	out := checkClosure(m, "N5", pureRooms, pureBanned)
	m.eachImport(productOf(pureRooms...), func(_ *Package, f *File, path string) {
		if Match(path, pureImports...) {
			out = append(out, Violation{"N5", f.Rel, "imports " + path + " in a pure package"})
		}
	})
	m.product(func(p *Package, f *File) {
		if !Match(p.Rel, pureRooms...) {
			return
		}
		for _, u := range uses(f, pureCalls) {
			out = append(out, Violation{"N5", m.at(u.node), "uses " + u.name + " in a pure package"})
		}
	})
	return out
}

func checkLeaves(m *Module) (out []Violation) {
	for _, group := range leafGroups {
		m.eachImport(within(group...), func(p *Package, f *File, path string) {
			rel, ours := m.ours(path)
			if !ours || rel == p.Rel {
				return // an external test imports its own package
			}
			if Match(rel, group...) {
				out = append(out, Violation{"N6", f.Rel, "imports its sibling " + rel})
			}
			if Match(rel, assemblers...) {
				out = append(out, Violation{"N6", f.Rel, "imports " + rel + ", which assembles it"})
			}
		})
	}
	return out
}

func checkLayers(m *Module) []Violation {
	out := checkOrder(layers)
	for _, p := range m.Packages {
		if !Match(p.Rel, layered...) {
			continue
		}
		row := slices.IndexFunc(layers, func(l layer) bool { return Match(p.Rel, l.room) })
		if row < 0 {
			out = append(out, Violation{"N8", p.Rel, "has no row in layers (test/arch/rules.go): give it a room"})
			continue
		}
		m.eachImport(productOf(p.Rel), func(_ *Package, f *File, path string) {
			if rel, ours := m.ours(path); ours && !Match(rel, layers[row].may...) {
				out = append(out, Violation{"N8", f.Rel, fmt.Sprintf("imports %s; %s may import %s", rel, p.Rel, allowed(layers[row].may))})
			}
		})
	}
	return out
}

// checkOrder refuses a table in which a row may import a room that stands at its own height or above.
func checkOrder(table []layer) (out []Violation) {
	var below []string
	for _, l := range table {
		for _, may := range l.may {
			if may != l.room+"/**" && !slices.Contains(below, may) {
				out = append(out, Violation{"N8", l.room, "its row names " + may + ", which is not below it"})
			}
		}
		below = append(below, l.room)
	}
	return out
}

func allowed(may []string) string {
	if len(may) == 0 {
		return "nothing of ours"
	}
	return strings.Join(may, ", ")
}

func checkTestImports(m *Module) (out []Violation) {
	all := func(*Package, *File) bool { return true }
	m.eachImport(all, func(p *Package, f *File, path string) {
		if Match(path, mockImports...) {
			out = append(out, Violation{"N10", f.Rel, "imports the mock generator " + path})
		}
		if !f.Test && !Match(p.Rel, "test/**") && Match(m.local(path), testImports...) {
			out = append(out, Violation{"N10", f.Rel, "product code imports " + m.short(path)})
		}
	})
	return out
}

// CheckRooms refuses a room that a rule names and that is neither in the module nor planned, and a planned room that
// exists: the plan may only shrink.
func CheckRooms(m *Module, named, planned []string) (out []Violation) {
	seen := map[string]bool{}
	for _, room := range named {
		room = strings.TrimSuffix(room, "/**")
		if seen[room] || strings.HasSuffix(room, "/*") { // leaves come and go
			continue
		}
		seen[room] = true
		if m.Package(room) == nil && !slices.Contains(planned, room) {
			out = append(out, Violation{"rooms", room, "a rule names this package and it does not exist"})
		}
	}
	for _, room := range planned {
		if m.Package(room) != nil {
			out = append(out, Violation{"rooms", room, "is built: take it out of planned.txt (-update does)"})
		}
	}
	return out
}
