package manifests

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// text is what a file holds. Its documents as nodes, which know their lines, take twenty
// times the room of the bytes: they are made again when somebody asks for lines.
type text struct {
	bytes     []byte
	documents []*yaml.Node
}

// each visits the documents that hold something, and of a list its items, with their numbers.
func (t *text) each(visit func(number int, node *yaml.Node)) error {
	decoder := yaml.NewDecoder(bytes.NewReader(t.bytes))
	for number := 0; ; {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(doc.Content) > 0 && doc.Content[0].Tag != "!!null": // else a separator with nothing behind it
			for _, node := range items(doc.Content[0]) {
				visit(number, node)
				number++
			}
		}
	}
}

// items are those of a list, as kubectl get prints several objects, or else the document itself.
func items(doc *yaml.Node) []*yaml.Node {
	_, kind := entry(doc, "kind")
	_, list := entry(doc, "items")
	if doc.Kind != yaml.MappingNode || kind == nil || !strings.HasSuffix(kind.Value, "List") || list == nil || list.Kind != yaml.SequenceNode {
		return []*yaml.Node{doc}
	}
	return list.Content
}

// document returns a document that each has visited before.
func (t *text) document(number int) *yaml.Node {
	if t.documents == nil {
		_ = t.each(func(_ int, node *yaml.Node) { // where it ended before, it ends now
			t.documents = append(t.documents, node)
		})
	}
	return t.documents[number]
}

// segments takes a field path apart: spec.rules[0].name is spec, rules, 0, name.
func segments(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// path is the reverse of segments, for the tokens of a JSON pointer.
func path(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		switch _, err := strconv.Atoi(t); {
		case err == nil:
			b.WriteString("[" + t + "]")
		case b.Len() == 0:
			b.WriteString(t)
		default:
			b.WriteString("." + t)
		}
	}
	return b.String()
}

// line returns the line of the deepest part of a field that node has.
func line(node *yaml.Node, field []string) int {
	if node == nil {
		return 0
	}
	at := node.Line
	for _, name := range field {
		key, value := entry(node, name)
		if value == nil {
			break
		}
		at, node = key.Line, value
	}
	return at
}

// child returns the value of a key, or node itself when it has no such key.
func child(node *yaml.Node, name string) *yaml.Node {
	if _, value := entry(node, name); value != nil {
		return value
	}
	return node
}

// entry returns the key and the value of a map's entry or a list's item; the
// item stands for both.
func entry(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// yamlLine is how the YAML library tells the line of a fault.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// rendered is what to do about braces of a template.
const rendered = " give what a template comes to, as helm template prints it"

// syntax is a Problem from what the YAML library said of a text: the first, where it said more.
func syntax(file string, text []byte, err error) Problem {
	message := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:"))
	message, _, _ = strings.Cut(message, "\n")
	p := Problem{File: file}
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		message = strings.Replace(message, m[0], "", 1)
	}
	switch {
	case strings.Contains(message, "UTF-8"):
		p.Line = 1 + bytes.Count(text[:valid(text)], []byte("\n"))
		message = "a character that is not UTF-8; save the file as UTF-8"
	case strings.Contains(message, "cannot start any token") && tabbed(text, p.Line):
		message = "a tab; indent with spaces"
	case strings.Contains(message, "control characters"):
		p.Line = 1 + bytes.Count(text[:controlled(text)], []byte("\n"))
		message = "a control character; save the file as text in UTF-8"
	case strings.Contains(message, `"apiVersion" already defined`), strings.Contains(message, "<document start>") && len(text) > 0 && text[0] == '{':
		message += "; put a line --- between two objects"
	case strings.Contains(message, "invalid map key"):
		message = "a map stands where a name must; put text with braces in quotes, and" + rendered
	case bytes.Contains(text, []byte("{{")):
		message += ";" + rendered
	}
	p.Message = "not valid YAML: " + message
	return p
}

// valid is how many bytes of text are UTF-8 before the first that is not.
func valid(text []byte) (n int) {
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// controlled is how many bytes of text come before the first that is a control character.
func controlled(text []byte) int {
	return max(0, bytes.IndexFunc(text, func(r rune) bool { return r != '\t' && r != '\n' && r != '\r' && (r < ' ' || r == 0x7f) }))
}

// tabbed says whether a line of text, counted from 1, begins with a tab, be it behind spaces.
func tabbed(text []byte, line int) bool {
	lines := bytes.Split(text, []byte("\n"))
	return line >= 1 && line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " "), []byte("\t"))
}
