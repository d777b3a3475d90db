package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// Size is one measured thing: what it is, which, how large, and how large it may be.
type Size struct {
	Kind    string // "file", "func", "params", "struct", "interface", "package"
	Subject string // "proxy/http1/conn.go", "proxy/http1.(*Conn).serve"
	N, Max  int
}

// Key names the size in exceptions.txt.
func (s Size) Key() string { return s.Kind + " " + s.Subject }

// Measure takes every size N11 has a budget for. Tests and generated files are not counted.
func Measure(m *Module) (out []Size) {
	for _, p := range m.Packages {
		lines := 0
		for _, f := range p.Files {
			if f.Test || f.Generated {
				continue
			}
			lines += f.Lines
			out = append(out, Size{"file", f.Rel, f.Lines, maxFileLines})
			out = append(out, m.measureFile(p, f)...)
		}
		out = append(out, Size{"package", p.Rel, lines, maxPackageLines})
	}
	return out
}

func (m *Module) measureFile(p *Package, f *File) (out []Size) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			name := p.Rel + "." + receiver(n) + n.Name.Name
			out = append(out, Size{"func", name, m.lines(n), maxFuncLines})
			out = append(out, Size{"params", name, n.Type.Params.NumFields(), maxParameters})
		case *ast.TypeSpec:
			name := p.Rel + "." + n.Name.Name
			switch t := n.Type.(type) {
			case *ast.StructType:
				out = append(out, Size{"struct", name, t.Fields.NumFields(), maxFields})
			case *ast.InterfaceType:
				out = append(out, Size{"interface", name, t.Methods.NumFields(), maxMethods})
			}
		}
		return true
	})
	return out
}

func (m *Module) lines(n ast.Node) int {
	return m.Fset.Position(n.End()).Line - m.Fset.Position(n.Pos()).Line + 1
}

// receiver writes a method's receiver as "T." or "(*T).".
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	typ, format := fn.Recv.List[0].Type, "%s."
	if star, ok := typ.(*ast.StarExpr); ok {
		typ, format = star.X, "(*%s)."
	}
	switch generic := typ.(type) {
	case *ast.IndexExpr:
		typ = generic.X
	case *ast.IndexListExpr:
		typ = generic.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return fmt.Sprintf(format, id.Name)
	}
	return ""
}

// CheckBudgets compares the sizes with their budgets. An exception allows exactly the size it records, so it can only go
// down: a subject that shrank must be recorded at its new size, one that is within its budget must be struck from the list.
func CheckBudgets(sizes []Size, exceptions map[string]int) (out []Violation) {
	found := map[string]bool{}
	for _, s := range sizes {
		allowed, excepted := exceptions[s.Key()]
		found[s.Key()] = true
		switch {
		case s.N > s.Max && !excepted, excepted && s.N > allowed:
			out = append(out, Violation{"N11", s.Subject, fmt.Sprintf("%s of %d, budget %d", s.Kind, s.N, max(s.Max, allowed))})
		case excepted && s.N <= s.Max:
			out = append(out, Violation{"N11", s.Subject, "no longer an exception: strike it from exceptions.txt (-update does)"})
		case excepted && s.N < allowed:
			out = append(out, Violation{"N11", s.Subject, fmt.Sprintf("shrank to %d: lower its exception (-update does)", s.N)})
		}
	}
	for key := range exceptions {
		if !found[key] {
			_, subject, _ := strings.Cut(key, " ")
			out = append(out, Violation{"N11", subject, "gone: strike it from exceptions.txt (-update does)"})
		}
	}
	slices.SortFunc(out, func(a, b Violation) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Shrink returns the exceptions that are still needed at the size they are needed; it adds none and raises none.
func Shrink(sizes []Size, exceptions map[string]int) map[string]int {
	kept := map[string]int{}
	for _, s := range sizes {
		if allowed, ok := exceptions[s.Key()]; ok && s.N > s.Max {
			kept[s.Key()] = min(allowed, s.N)
		}
	}
	return kept
}

// ParseExceptions reads lines of "kind subject size"; '#' opens a comment.
func ParseExceptions(text string) (map[string]int, error) {
	out := map[string]int{}
	for _, line := range Lines(text) {
		field := strings.Fields(line)
		if len(field) != 3 {
			return nil, fmt.Errorf("exceptions: %q is not \"kind subject size\"", line)
		}
		n, err := strconv.Atoi(field[2])
		if err != nil {
			return nil, fmt.Errorf("exceptions: %q: %w", line, err)
		}
		out[field[0]+" "+field[1]] = n
	}
	return out, nil
}

// P90 is the 90th percentile of the sizes of one kind, 0 if there are none.
func P90(sizes []Size, kind string) int {
	var all []int
	for _, s := range sizes {
		if s.Kind == kind {
			all = append(all, s.N)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*9/10]
}
