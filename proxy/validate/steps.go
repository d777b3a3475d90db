package validate

import (
	"errors"
	"runtime"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The bounds of comparing content with a schema that refers to parts of itself: each
// part that is compared with a value is a step. A form that has itself in two of its
// alternatives, as those of expressions and trees have, doubles the steps with each
// level that content is nested.
const (
	minSteps     = 1 << 16 // for the smallest content
	stepsPerByte = 8       // beside those; a value takes two bytes or more
	maxSteps     = 1 << 20
	maxCopies    = 8 // of a schema, which as many requests use at one time
)

// errSteps is what comes of more steps than that.
var errSteps = errors.New("validate: it takes too many steps")

// form is a JSON Schema, ready to use. One without references takes as many steps for
// a value as it has parts for it, and is used by all at once.
type form struct {
	plain  *jsonschema.Schema
	copies chan *counted // in place of plain
}

// counted is a copy of a schema that counts its steps, for one request at a time: the
// library tells parts nothing of the validation that they are asked for.
type counted struct {
	schema *jsonschema.Schema
	left   int
}

func newForm(document []byte) (*form, error) {
	doc, plain, err := compileSchema(document)
	if err != nil || !refers(doc) {
		return &form{plain: plain}, err
	}
	n := max(1, min(maxCopies, runtime.GOMAXPROCS(0)/2)) // or they would take all processors, at some milliseconds each
	s := &form{copies: make(chan *counted, n)}
	for range n {
		c, err := count(doc)
		if err != nil {
			return nil, err
		}
		s.copies <- c
	}
	return s, nil
}

// refers reports whether a document has references. What only looks like one, in an
// example, makes no difference but to the cost.
func refers(doc any) bool {
	switch v := doc.(type) {
	case map[string]any:
		for name, member := range v {
			if name == "$ref" || name == "$dynamicRef" || name == "$recursiveRef" || refers(member) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if refers(item) {
				return true
			}
		}
	}
	return false
}

// count compiles a document, which has been compiled before, so that each of its parts
// counts as a format does: before it looks into a value. A part learns of itself as
// a vocabulary's.
func count(doc any) (*counted, error) {
	c := newCompiler()
	var parts []*jsonschema.Schema
	c.AssertVocabs()
	c.RegisterVocabulary(&jsonschema.Vocabulary{
		URL: "gatehouse:steps",
		Compile: func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
			parts = append(parts, ctx.Enqueue(nil))
			return nil, nil
		},
	})
	s, err := compile(c, doc)
	if err != nil {
		return nil, err
	}
	out := &counted{schema: s}
	for _, p := range parts {
		p.Format = out.step(p.Format)
	}
	return out, nil
}

// step is format, which may be nil, and a step. When none is left every part that is
// still to be asked refuses its value unseen, which soon ends the comparison.
func (c *counted) step(format *jsonschema.Format) *jsonschema.Format {
	if format == nil {
		format = &jsonschema.Format{Validate: func(any) error { return nil }}
	}
	return &jsonschema.Format{Name: format.Name, Validate: func(v any) error {
		if c.left--; c.left < 0 {
			return errSteps
		}
		return format.Validate(v)
	}}
}

// compare reports what is wrong with content of so many bytes.
func (s *form) compare(v any, size int) error {
	if s.plain != nil {
		return s.plain.Validate(v)
	}
	c := <-s.copies
	defer func() { s.copies <- c }()
	c.left = min(minSteps+stepsPerByte*size, maxSteps)
	err := c.schema.Validate(v)
	if c.left < 0 {
		return errSteps
	}
	return err
}
