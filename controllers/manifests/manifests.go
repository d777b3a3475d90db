// Package manifests reads Kubernetes objects from files, as kubectl would apply
// them to an API server: checked against the schemas of their kinds and the rules
// in them, strictly, with the defaults filled in. Every fault is named with its
// file, line, field and fix.
//
// cmd/gatehouse calls Load for `standalone` and `table`; tests call Parse. The scheme is handed in.
package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is a typed Kubernetes object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Problem is one fault in one place.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Object  string `json:"object,omitempty"` // "HTTPRoute shop/orders"
	Field   string `json:"field,omitempty"`  // "spec.rules[0].matches[0].path.type"
	Message string `json:"message"`          // what is wrong and how to mend it
}

// String is the problem on one line, with the place first, as compilers print it.
func (p Problem) String() string {
	place := p.File
	if p.Line > 0 {
		place += fmt.Sprintf(":%d", p.Line)
	}
	return strings.Join(slices.DeleteFunc([]string{place, p.Object, p.Field, p.Message}, func(s string) bool { return s == "" }), ": ")
}

// Manifest is one object and where it came from.
type Manifest struct {
	Object Object
	File   string
	line   int   // where it begins
	text   *text // that it is part of; nil where it comes from no file
	number int   // of its document there
}

// Line returns the line of a field such as "spec.rules[0].name", or of the
// deepest part of it that the file has.
func (m *Manifest) Line(field string) int {
	if m.text == nil {
		return 0
	}
	return line(m.text.document(m.number), segments(field))
}

// Name is the object's kind, namespace and name: "HTTPRoute shop/orders".
func (m *Manifest) Name() string {
	kind := m.Object.GetObjectKind().GroupVersionKind().Kind
	if ns := m.Object.GetNamespace(); ns != "" {
		return kind + " " + ns + "/" + m.Object.GetName()
	}
	return kind + " " + m.Object.GetName()
}

// Stdin is the path of what Reader.Stdin gives.
const Stdin = "-"

// Reader reads files. Use NewReader. It belongs to one goroutine.
type Reader struct {
	Stdin   io.Reader // is read once, when Load first meets the path Stdin; nil: there is no such path
	Unruled bool      // objects may break the rules of their definitions, as those in a cluster may that are older than the rules
	stdin   []byte    // what it gave
	scheme  *runtime.Scheme
	schemas *schemas
	files   map[string]*file // what the last Load read
}

// file is one file's text and what it says. A file that has not changed gives
// the same objects, so that a change of one among thousands costs little.
type file struct {
	text      *text
	manifests []*Manifest
	problems  []Problem
}

// NewReader returns a Reader of the kinds scheme knows.
func NewReader(scheme *runtime.Scheme) (*Reader, error) {
	s, err := loadSchemas()
	if err != nil {
		return nil, err
	}
	return &Reader{scheme: scheme, schemas: s}, nil
}

// files returns the manifest files that path names: itself, or each .yaml, .yml
// and .json below it, in order. Hidden files and kustomizations are left out.
// A path may be a link to a folder; links to folders below it are not followed.
func files(path string) ([]string, error) {
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		path = strings.TrimSuffix(path, string(filepath.Separator)) + string(filepath.Separator)
	}
	var files []string
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != path
		switch {
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case d.IsDir() || hidden || strings.HasPrefix(d.Name(), "kustomization."):
			return nil
		}
		if ext := filepath.Ext(name); name == path || ext == ".yaml" || ext == ".yml" || ext == ".json" {
			files = append(files, name)
		}
		return nil
	})
	slices.Sort(files)
	return files, err
}

// Load reads all manifests below the paths.
func (r *Reader) Load(paths ...string) ([]*Manifest, []Problem) {
	var all []*Manifest
	var problems []Problem
	before := r.files
	r.files = make(map[string]*file, len(before))
	defer r.schemas.rules.Forget() // who serves what was read may not read again for months
	for _, path := range paths {
		files, err := r.list(path)
		if err != nil {
			problems = append(problems, unreadable(path, err))
			continue
		}
		for _, name := range files {
			if r.files[filepath.Clean(name)] != nil {
				continue // it is in a folder that is named too, say
			}
			text, err := r.text(name)
			if err != nil {
				problems = append(problems, unreadable(name, err))
				continue
			}
			f := before[filepath.Clean(name)]
			if f == nil || !bytes.Equal(f.text.bytes, text) {
				f = &file{}
				f.text, f.manifests, f.problems = r.parse(name, text)
			}
			f.text.documents = nil // whoever asked for lines has had them
			r.files[filepath.Clean(name)] = f
			all, problems = append(all, f.manifests...), append(problems, f.problems...)
		}
	}
	return all, append(problems, duplicates(all)...)
}

// Files is how many files the last Load has read.
func (r *Reader) Files() int { return len(r.files) }

// list returns the files of a path, or the path of standard input itself.
func (r *Reader) list(path string) ([]string, error) {
	if path == Stdin && r.Stdin != nil {
		return []string{path}, nil
	}
	return files(path)
}

// maxText is how long a file may be: what has no end, as a device has none, is not waited for.
const maxText = 64 << 20

// text returns what a file holds. What standard input gave is kept for the next Load.
func (r *Reader) text(name string) ([]byte, error) {
	if name != Stdin || r.Stdin == nil {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return whole(f)
	}
	if r.stdin == nil {
		text, err := whole(r.Stdin)
		if err != nil {
			return nil, err
		}
		r.stdin = append([]byte{}, text...)
	}
	return r.stdin, nil
}

// whole reads a file to its end.
func whole(f io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("longer than %d MiB, of which no more is read; split it into several files", maxText>>20)
	}
	return text, err
}

// unreadable is a Problem from what the system said of a path.
func unreadable(path string, err error) Problem {
	if about := (*fs.PathError)(nil); errors.As(err, &about) {
		return Problem{File: about.Path, Message: about.Err.Error()}
	}
	return Problem{File: path, Message: err.Error()}
}

// Parse reads the manifests of one file's text.
func (r *Reader) Parse(file string, text []byte) ([]*Manifest, []Problem) {
	_, all, problems := r.parse(file, text)
	return all, problems
}

func (r *Reader) parse(file string, bytes []byte) (*text, []*Manifest, []Problem) {
	var all []*Manifest
	var problems []Problem
	t := &text{bytes: bytes}
	err := t.each(func(number int, node *yaml.Node) {
		m, ps := r.object(file, node)
		problems = append(problems, ps...)
		if m != nil {
			m.line, m.text, m.number = node.Line, t, number
			all = append(all, m)
		}
	})
	if err != nil {
		problems = append(problems, syntax(file, bytes, err))
	}
	return t, all, problems
}

// object reads one document.
func (r *Reader) object(file string, node *yaml.Node) (*Manifest, []Problem) {
	at := func(n *yaml.Node, field, message string) []Problem {
		return []Problem{{File: file, Line: n.Line, Field: field, Message: message}}
	}
	if node.Kind == yaml.AliasNode { // an item of a list
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		return nil, at(node, "", "not a Kubernetes object; a document starts with apiVersion and kind")
	}
	asKubectl(node)
	var value map[string]any
	if err := node.Decode(&value); err != nil {
		p := syntax(file, nil, err)
		p.Line = max(p.Line, node.Line)
		return nil, []Problem{p}
	}
	apiVersion, _ := value["apiVersion"].(string)
	kind, _ := value["kind"].(string)
	if apiVersion == "" || kind == "" {
		return nil, at(node, "", "apiVersion and kind must both be set")
	}
	gvk, known := r.readAs(schema.FromAPIVersionAndKind(apiVersion, kind))
	if !known {
		field, message := r.unread(gvk)
		if message == "" {
			return nil, nil // a Deployment beside its Service: not ours to judge
		}
		return nil, at(child(node, field), field, message)
	}
	object, problems := r.decode(gvk, value)
	name := Problem{Object: nameOf(kind, value)}
	for i := range problems {
		problems[i].File, problems[i].Object = file, name.Object
		problems[i].Line = line(node, segments(problems[i].Field))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	if object.GetName() == "" {
		return nil, at(node, "metadata.name", "every object needs a name")
	}
	if field, message := misnamed(object); message != "" {
		return nil, []Problem{{File: file, Line: line(node, segments(field)), Object: name.Object, Field: field, Message: message}}
	}
	// What kubectl get prints says of which version it is, and who edits it leaves that as it was.
	object.SetResourceVersion("")
	object.SetGeneration(0)
	switch {
	case kind == "GatewayClass" || kind == "IngressClass" || kind == "Namespace":
		object.SetNamespace("") // as an API server does: kustomize gives one to whatever it does not know
	case object.GetNamespace() == "":
		object.SetNamespace(metav1.NamespaceDefault)
	}
	if secret, ok := object.(*corev1.Secret); ok {
		written(secret)
	}
	return &Manifest{Object: object, File: file}, nil
}

// written moves stringData, which an API server only ever takes in, to data.
func written(s *corev1.Secret) {
	for key, value := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

// duplicates finds objects that are defined twice.
func duplicates(all []*Manifest) (problems []Problem) {
	first := map[string]*Manifest{}
	for _, m := range all {
		if other, ok := first[m.Name()]; ok {
			problems = append(problems, Problem{
				File: m.File, Line: m.line, Object: m.Name(),
				Message: fmt.Sprintf("defined twice, first in %s:%d; remove one", other.File, other.line),
			})
			continue
		}
		first[m.Name()] = m
	}
	return problems
}

// nameOf is Manifest.Name for an object that is not typed yet.
func nameOf(kind string, value map[string]any) string {
	meta, _ := value["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if ns, _ := meta["namespace"].(string); ns != "" {
		return kind + " " + ns + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}
