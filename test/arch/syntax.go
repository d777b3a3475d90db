package arch

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// use is one mention of a package's exported name, written as "regexp.Compile" whatever the file calls the package.
type use struct {
	node ast.Node
	name string
}

// uses lists the mentions in f of the wanted names ("time.Now": the last element of the import path and the name).
func uses(f *File, wanted []string) []use { return usesIn(f, f.AST, wanted) }

func usesIn(f *File, root ast.Node, wanted []string) (out []use) {
	ast.Inspect(root, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if name := qualified(f, e); name != "" && slices.Contains(wanted, name) {
				out = append(out, use{n, name})
			}
		}
		return true
	})
	return out
}

// qualified names the selector e of an imported package, "regexp.Compile", or returns "" for anything else.
func qualified(f *File, e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, spec := range f.AST.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		base := path.Base(full)
		if spec.Name == nil && base == id.Name || spec.Name != nil && spec.Name.Name == id.Name {
			return base + "." + sel.Sel.Name
		}
	}
	return ""
}

func checkHot(m *Module) (out []Violation) {
	m.eachImport(productOf(hotRooms...), func(_ *Package, f *File, path string) {
		if Match(path, hotImports...) {
			out = append(out, Violation{"N7", f.Rel, "imports " + path + " in the hot set"})
		}
	})
	m.product(func(p *Package, f *File) {
		if !Match(p.Rel, "proxy/**") {
			return
		}
		for _, d := range f.AST.Decls {
			fn, isFunc := d.(*ast.FuncDecl)
			builds := isFunc && slices.ContainsFunc(buildVerbs, func(v string) bool { return strings.HasPrefix(fn.Name.Name, v) })
			for _, u := range usesIn(f, d, regexpCall) {
				switch {
				case !Match(p.Rel, swapRooms...):
					out = append(out, Violation{"N7", m.at(u.node), u.name + " outside " + strings.Join(swapRooms, ", ")})
				case !builds:
					out = append(out, Violation{"N7", m.at(u.node), u.name + " outside a function that builds (New, Compile, Build, parse)"})
				}
			}
		}
	})
	return out
}

func checkState(m *Module) (out []Violation) {
	for _, p := range m.Packages {
		written := assigned(p)
		for _, f := range p.Files {
			if f.Test || f.Generated {
				continue
			}
			for _, d := range f.AST.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil && !Match(p.Rel, initRooms...) {
						out = append(out, Violation{"N9", m.at(d), "func init"})
					}
				case *ast.GenDecl:
					if d.Tok == token.VAR {
						out = append(out, checkVars(m, p, f, d, written)...)
					}
				}
			}
			if Match(p.Rel, "proxy/**") {
				out = append(out, checkPanics(m, f)...)
			}
		}
	}
	return out
}

func checkPanics(m *Module, f *File) (out []Violation) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
				out = append(out, Violation{"N9", m.at(n), "panic in the proxy"})
			}
		}
		return true
	})
	return out
}

func checkVars(m *Module, p *Package, f *File, d *ast.GenDecl, written map[string]bool) (out []Violation) {
	if Match(p.Rel, schemeRooms...) {
		return nil
	}
	for _, s := range d.Specs {
		spec := s.(*ast.ValueSpec)
		for i, name := range spec.Names {
			var value ast.Expr
			if i < len(spec.Values) {
				value = spec.Values[i]
			}
			linked := Match(p.Rel, "cmd/**") && slices.Contains(linkedVars, name.Name)
			embedded := directive(d.Doc, "//go:embed ") || directive(spec.Doc, "//go:embed ")
			switch {
			case name.Name == "_" || linked || stateful(f, spec.Type, value):
			case written[name.Name]:
				out = append(out, Violation{"N9", m.at(name), "package variable " + name.Name + " is written to or its address taken"})
			case !embedded && !constant(p, f, name.Name, value):
				out = append(out, Violation{"N9", m.at(name), "package variable " + name.Name + " is neither a table, an error, a metric nor a pool"})
			}
		}
	}
	return out
}

// directive reports whether a line of the comment begins with the prefix.
func directive(doc *ast.CommentGroup, prefix string) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, prefix) })
}

// stateful reports the state that may live at package level: pools and metrics, or arrays of them.
func stateful(f *File, typ, value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		typ = v.Type
	case *ast.UnaryExpr:
		if lit, ok := v.X.(*ast.CompositeLit); ok {
			typ = lit.Type
		}
	case *ast.CallExpr:
		if name := qualified(f, v.Fun); strings.HasPrefix(name, "prometheus.") || strings.HasPrefix(name, "promauto.") {
			return true
		}
	}
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.ArrayType:
			typ = t.Elt
		default:
			return typ != nil && named(qualified(f, typ), stateTypes)
		}
	}
}

// constant reports a value that can stand for a constant Go cannot spell: an error, a compiled pattern of the control half,
// or a table. A table is a literal or conversion of an array, slice or map, or the one that a function returns.
func constant(p *Package, f *File, name string, value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		return tabular(p, v.Type) || isErr(name)
	case *ast.UnaryExpr: // ErrLine = &ParseError{…}
		return isErr(name)
	case *ast.CallExpr:
		if name := qualified(f, v.Fun); name != "" {
			return named(name, constantCall) || Match(p.Rel, regexpVars...) && slices.Contains(regexpCall, name)
		}
		if lit, ok := v.Fun.(*ast.FuncLit); ok {
			return returnsTable(p, lit.Type)
		}
		if id, ok := v.Fun.(*ast.Ident); ok {
			if fn := function(p, id.Name); fn != nil {
				return returnsTable(p, fn.Type) || isErr(name)
			}
		}
		return tabular(p, v.Fun)
	}
	return false
}

func isErr(name string) bool { return strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err") }

func returnsTable(p *Package, fn *ast.FuncType) bool {
	return fn.Results != nil && len(fn.Results.List) == 1 && tabular(p, fn.Results.List[0].Type)
}

// tabular reports an array, slice or map type, or a type of this package that is declared as one.
func tabular(p *Package, typ ast.Expr) bool {
	switch t := typ.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	case *ast.Ident:
		for _, f := range p.Files {
			for _, d := range f.AST.Decls {
				gen, ok := d.(*ast.GenDecl)
				if !ok || gen.Tok != token.TYPE {
					continue
				}
				for _, s := range gen.Specs {
					if spec := s.(*ast.TypeSpec); spec.Name.Name == t.Name {
						return tabular(p, spec.Type)
					}
				}
			}
		}
	}
	return false
}

// function returns the package's function of that name, or nil.
func function(p *Package, name string) *ast.FuncDecl {
	for _, f := range p.Files {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return fn
			}
		}
	}
	return nil
}

// named matches "package.Name" against a list in which "package.*" stands for all its names.
func named(name string, list []string) bool {
	pkg, _, ok := strings.Cut(name, ".")
	return ok && (slices.Contains(list, name) || slices.Contains(list, pkg+".*"))
}

// assigned lists the names that some function of the package assigns to, takes the address of, deletes from or clears,
// where the function does not declare the name itself. Without types this is an approximation on the safe side: a field
// or a name of another package never counts, a shadowed name never counts.
func assigned(p *Package) map[string]bool {
	written := map[string]bool{}
	for _, f := range p.Files {
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			own := declared(fn)
			write := func(e ast.Expr) {
				if name := root(e); name != "" && !own[name] {
					written[name] = true
				}
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				writes(n, write)
				return true
			})
		}
	}
	return written
}

// writes calls write for each operand that n changes or lets others change.
func writes(n ast.Node, write func(ast.Expr)) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, e := range n.Lhs {
				write(e)
			}
		}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			write(n.Key)
			write(n.Value)
		}
	case *ast.IncDecStmt:
		write(n.X)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			write(n.X)
		}
	case *ast.CallExpr:
		id, ok := n.Fun.(*ast.Ident)
		if ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, id.Name) {
			write(n.Args[0])
		}
	}
}

// root is the variable an operand starts from: x for x, x[i], x.f, *x and x[i:j].
func root(e ast.Expr) string {
	for {
		switch v := e.(type) {
		case *ast.Ident:
			return v.Name
		case *ast.IndexExpr:
			e = v.X
		case *ast.SelectorExpr:
			e = v.X
		case *ast.StarExpr:
			e = v.X
		case *ast.SliceExpr:
			e = v.X
		case *ast.ParenExpr:
			e = v.X
		default:
			return ""
		}
	}
}

// declared lists the names a function declares anywhere inside it, parameters included.
func declared(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	add := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			own[id.Name] = true
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				add(id)
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				add(id)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					add(e)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key)
				add(n.Value)
			}
		}
		return true
	})
	return own
}

func checkDoc(m *Module) (out []Violation) {
	for _, p := range m.Packages {
		onlyTests := !slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test })
		var docs []string
		for _, f := range p.Files {
			if f.AST.Doc == nil || f.Test && !onlyTests {
				continue
			}
			want := "Package " + strings.TrimSuffix(f.AST.Name.Name, "_test") + " "
			if f.AST.Name.Name == "main" {
				want = "Command "
			}
			if text := f.AST.Doc.Text(); !strings.HasPrefix(text, want) {
				out = append(out, Violation{"N12", f.Rel, "the comment above the package clause does not begin with " + strconv.Quote(want)})
				continue
			}
			docs = append(docs, f.Rel)
		}
		switch {
		case len(docs) == 0:
			out = append(out, Violation{"N12", p.Rel, "no package comment: what it is, who calls it, what it calls"})
		case len(docs) > 1:
			out = append(out, Violation{"N12", p.Rel, "more than one package comment: " + strings.Join(docs, ", ")})
		}
	}
	return out
}
