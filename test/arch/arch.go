// Package arch holds the rules of the house, N1 to N12, as code: which package may import which, what may stand at package
// level, how large a thing may grow, what may be written in a tracked file.
//
// The rules are data (rules.go); the checks are pure functions from a loaded Module to a list of Violations, so that they run
// on the real module and on the fixtures in testdata that break each rule on purpose. Only the tests of this package call it;
// it calls go/packages for the import graph and go/parser for everything else.
package arch

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Violation is one broken rule: which, where (a package, a file with its line, or a declaration) and what is wrong.
type Violation struct {
	Rule, Where, What string
}

// String gives the violation on one line.
func (v Violation) String() string { return v.Rule + " " + v.Where + ": " + v.What }

// Module is one Go module with the syntax of all its packages and the import graph below them.
type Module struct {
	Path     string     // module path, "github.com/gatehouse-dev/gatehouse"
	Dir      string     // absolute folder of go.mod
	Packages []*Package // sorted by Rel
	Fset     *token.FileSet
}

// Package is one package of the module itself.
type Package struct {
	Rel   string  // folder below the module's root, with slashes; "." is the root
	Files []*File // every Go file of the folder, tests and other platforms included

	graph *packages.Package // product files only; what closures walk
}

// File is one parsed Go file.
type File struct {
	Rel       string // path below the module's root
	Test      bool   // named *_test.go
	Generated bool   // carries the "Code generated" line
	Lines     int
	AST       *ast.File
	Imports   []string // import paths in source order
}

// Load reads the module in dir. A package that cannot be listed or a file that cannot be parsed is an error: a rule that
// could not look at everything has not been checked. Env is added to the environment of the go command.
func Load(dir string, env ...string) (*Module, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	listed, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedFiles | packages.NeedModule,
		Dir:  dir,
		Env:  append(os.Environ(), env...),
	}, "./...")
	if err != nil {
		return nil, err
	}
	if err := listErrors(listed); err != nil {
		return nil, err
	}
	m := &Module{Dir: dir, Fset: token.NewFileSet()}
	for _, p := range listed {
		if p.Module == nil {
			return nil, fmt.Errorf("%s: not in a module", p.PkgPath)
		}
		m.Path = p.Module.Path
		own := &Package{Rel: relative(m.Path, p.PkgPath), graph: p}
		if own.Files, err = m.parse(own.Rel); err != nil {
			return nil, err
		}
		m.Packages = append(m.Packages, own)
	}
	slices.SortFunc(m.Packages, func(a, b *Package) int { return strings.Compare(a.Rel, b.Rel) })
	return m, nil
}

// listErrors joins what the go command said about the packages and everything below them: a package that is missing says
// so itself, not the one that imports it.
func listErrors(listed []*packages.Package) error {
	var all []error
	packages.Visit(listed, nil, func(p *packages.Package) {
		for _, err := range p.Errors {
			all = append(all, fmt.Errorf("%s: %w", p.PkgPath, err))
		}
	})
	return errors.Join(all...)
}

func (m *Module) parse(rel string) ([]*File, error) {
	paths, err := filepath.Glob(filepath.Join(m.Dir, filepath.FromSlash(rel), "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*File
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		f := &File{Rel: strings.TrimPrefix(rel+"/"+name, "./"), Test: strings.HasSuffix(name, "_test.go")}
		f.AST, err = parser.ParseFile(m.Fset, f.Rel, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		f.Generated = ast.IsGenerated(f.AST)
		f.Lines = bytes.Count(src, []byte("\n"))
		for _, spec := range f.AST.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Rel, err)
			}
			f.Imports = append(f.Imports, path)
		}
		files = append(files, f)
	}
	return files, nil
}

// Package returns the module's package in folder rel, or nil.
func (m *Module) Package(rel string) *Package {
	for _, p := range m.Packages {
		if p.Rel == rel {
			return p
		}
	}
	return nil
}

// at says where a node stands, as "file:line".
func (m *Module) at(n ast.Node) string {
	pos := m.Fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}

// product visits every file that is compiled into the program or could be: neither a test nor generated.
func (m *Module) product(visit func(*Package, *File)) {
	for _, p := range m.Packages {
		for _, f := range p.Files {
			if !f.Test && !f.Generated {
				visit(p, f)
			}
		}
	}
}

// Match reports whether path is covered by one of the patterns: "a/b" is itself, "a/*" is exactly one element below a,
// "a/**" is a and everything below it.
func Match(path string, patterns ...string) bool {
	for _, pattern := range patterns {
		if root, ok := strings.CutSuffix(pattern, "/**"); ok {
			if path == root || strings.HasPrefix(path, root+"/") {
				return true
			}
		} else if root, ok := strings.CutSuffix(pattern, "/*"); ok {
			rest, below := strings.CutPrefix(path, root+"/")
			if below && !strings.Contains(rest, "/") {
				return true
			}
		} else if path == pattern {
			return true
		}
	}
	return false
}

// local turns an import path into the form the rules are written in: a package of ours becomes "./" and its folder, any
// other path stays as it is.
func (m *Module) local(path string) string {
	if path == m.Path || strings.HasPrefix(path, m.Path+"/") {
		return "./" + relative(m.Path, path)
	}
	return path
}

// ours returns the folder of an import path of this module, and whether it is one.
func (m *Module) ours(path string) (string, bool) {
	return strings.CutPrefix(m.local(path), "./")
}

func relative(module, path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}
