package validate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// The bounds of what is written about one violation, and of a schema.
const (
	maxMessage = 512
	maxSchema  = 1 << 20
	maxErrors  = 1024 // of the library's, of which many may say the same, that are looked at
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// location is the address a schema goes by; fragments of it resolve within it.
const location = "schema.json"

// CheckSchema reports what is wrong with a JSON Schema and what to do about it.
func CheckSchema(document []byte) error {
	_, _, err := compileSchema(document)
	return err
}

// compileSchema compiles a schema of draft 2020-12, and returns it beside its document.
func compileSchema(document []byte) (any, *jsonschema.Schema, error) {
	if len(document) > maxSchema {
		return nil, nil, fmt.Errorf("the schema has %d bytes; use at most %d", len(document), maxSchema)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	if object, ok := doc.(map[string]any); ok {
		if named, there := object["$schema"]; there && named != draft && named != draft+"#" {
			return nil, nil, fmt.Errorf("$schema is %v; use %s", named, draft)
		}
	}
	s, err := compile(newCompiler(), doc)
	return doc, s, err
}

// compile compiles a document that was parsed.
func compile(c *jsonschema.Compiler, doc any) (*jsonschema.Schema, error) {
	if err := c.AddResource(location, doc); err != nil {
		return nil, plainly(err)
	}
	s, err := c.Compile(location)
	if err != nil {
		return nil, plainly(err)
	}
	return s, nil
}

// newCompiler returns a compiler for one schema, which stands alone: references
// outside it are refused, so that nothing is fetched. "format" is asserted, not
// only noted. Patterns are RE2.
func newCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(alone{})
	return c
}

// alone is a loader that loads nothing.
type alone struct{}

// Load implements jsonschema.URLLoader.
func (alone) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; put what it needs under $defs", url)
}

// plainly is err in terms of the document, without addresses of this machine.
func plainly(err error) error {
	var bad *jsonschema.SchemaValidationError
	var invalid *jsonschema.ValidationError
	if errors.As(err, &bad) && errors.As(bad.Err, &invalid) {
		var lines []string
		for _, v := range violations(nil, invalid) {
			lines = append(lines, v.Pointer+": "+v.Message)
		}
		return errors.New("not a JSON Schema: " + strings.Join(lines, "; "))
	}
	text := err.Error()
	if at := strings.Index(text, "file://"); at >= 0 {
		if end := strings.Index(text[at:], location); end >= 0 {
			text = text[:at] + text[at+end:]
		}
	}
	return errors.New(text)
}

// violations appends what a validation found, each once.
func violations(list []exchange.Violation, err error) []exchange.Violation {
	var found *jsonschema.ValidationError
	if !errors.As(err, &found) {
		if err != nil {
			list = append(list, exchange.Violation{Message: "it cannot be checked"})
		}
		return list
	}
	c := collector{
		list: list, seen: map[exchange.Violation]bool{}, left: maxErrors,
		printer: message.NewPrinter(language.English), escape: strings.NewReplacer("~", "~0", "/", "~1"),
	}
	c.collect(found)
	slices.SortStableFunc(c.list[len(list):], func(a, b exchange.Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	return c.list
}

type collector struct {
	list    []exchange.Violation
	seen    map[exchange.Violation]bool
	left    int // errors that are still looked at
	printer *message.Printer
	escape  *strings.Replacer
}

// collect lists the leaves of the tree of errors, and for a choice of forms the
// choice itself before what is wrong with each form. There may be as many as it took
// steps to find them, and each is some microseconds to write.
func (c *collector) collect(e *jsonschema.ValidationError) {
	if c.left--; c.left < 0 || len(c.list) >= maxViolations {
		return
	}
	choice := ""
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		choice = "fits none of the forms that are allowed here"
	case *kind.OneOf:
		choice = "fits none of the forms that are allowed here"
		if len(k.Subschemas) > 0 {
			choice = "fits more than one of the forms of which it must fit exactly one"
		}
	}
	switch {
	case choice != "":
		c.add(e, choice)
	case len(e.Causes) == 0:
		c.add(e, e.ErrorKind.LocalizedString(c.printer))
	}
	for _, cause := range e.Causes {
		c.collect(cause)
	}
}

func (c *collector) add(e *jsonschema.ValidationError, text string) {
	v := exchange.Violation{Pointer: shorten(c.pointer(e.InstanceLocation)), Message: shorten(text)}
	if !c.seen[v] && len(c.list) < maxViolations {
		c.seen[v] = true
		c.list = append(c.list, v)
	}
}

// pointer writes a JSON pointer (RFC 6901).
func (c *collector) pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		_, _ = c.escape.WriteString(&b, t)
	}
	return b.String()
}

// shorten cuts text that the caller made long.
func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
