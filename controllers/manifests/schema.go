package manifests

import (
	"bytes"
	_ "embed" // schemas.json
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"k8s.io/apimachinery/pkg/runtime/schema"
	strictjson "sigs.k8s.io/json"
)

// bundle is the schemas of the custom resources the gateway reads, by
// apiVersion/kind; hack/schemas writes it from their definitions.
//
//go:embed schemas.json
var bundle []byte

// schemas checks custom resources and fills in their defaults. What a kind needs for that is made when
// the first object of it is read: all of them together would be a third of what a small gateway has on its heap.
type schemas struct {
	text    map[string]json.RawMessage // of all kinds
	kinds   map[string]*checks         // of those that were met
	printer *message.Printer
}

// checks are one kind's schema, as it was written and as it is checked.
type checks struct {
	raw      map[string]any
	compiled *jsonschema.Schema
}

func loadSchemas() (*schemas, error) {
	s := &schemas{kinds: map[string]*checks{}, printer: message.NewPrinter(language.English)}
	if err := json.Unmarshal(bundle, &s.text); err != nil {
		return nil, fmt.Errorf("the schemas built into this program: %w", err)
	}
	return s, nil
}

// of returns the checks of a kind; nil: it has none.
func (s *schemas) of(name string) (*checks, error) {
	if c := s.kinds[name]; c != nil || s.text[name] == nil {
		return c, nil
	}
	c := &checks{}
	err := json.Unmarshal(s.text[name], &c.raw)
	compiler := jsonschema.NewCompiler()
	if err == nil {
		err = compiler.AddResource(name, c.raw)
	}
	if err == nil {
		c.compiled, err = compiler.Compile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("the schema of %s built into this program: %w", name, err)
	}
	s.kinds[name] = c
	return c, nil
}

// decode turns a document into a typed object. The problems have a field and a
// message; the caller knows the rest.
func (r *Reader) decode(gvk schema.GroupVersionKind, value map[string]any) (Object, []Problem) {
	name := gvk.GroupVersion().String() + "/" + gvk.Kind
	c, err := r.schemas.of(name)
	if err != nil {
		return nil, []Problem{{Message: err.Error()}}
	}
	if c != nil {
		fill(c.raw, value)
		if problems := r.schemas.check(name, value); len(problems) > 0 {
			return nil, problems
		}
	}
	typed, err := r.scheme.New(gvk)
	if err != nil {
		return nil, []Problem{{Message: err.Error()}}
	}
	object, ok := typed.(Object)
	if !ok {
		return nil, []Problem{{Field: "kind", Message: "a list; write its items as documents of their own"}}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, []Problem{{Message: err.Error()}}
	}
	strict, err := strictjson.UnmarshalStrict(text, object)
	if err != nil {
		return nil, []Problem{mistyped(err)}
	}
	var problems []Problem
	for _, err := range strict {
		p := Problem{Message: err.Error()}
		var at strictjson.FieldError
		if errors.As(err, &at) {
			p.Field = at.FieldPath()
			p.Message = "unknown field; remove it or mend its name"
		}
		problems = append(problems, p)
	}
	return object, problems
}

// mistyped says what a JSON decoder could not take.
func mistyped(err error) Problem {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return Problem{Field: wrong.Field, Message: fmt.Sprintf("is of type %s, must be %s", wrong.Value, wrong.Type)}
	}
	return Problem{Message: err.Error()}
}

// fill sets the defaults an API server would set.
func fill(raw map[string]any, value any) {
	switch v := value.(type) {
	case map[string]any:
		properties, _ := raw["properties"].(map[string]any)
		for name, p := range properties {
			property, _ := p.(map[string]any)
			if _, has := v[name]; !has {
				if d, ok := property["default"]; ok {
					v[name] = clone(d)
				}
			}
			if inner, has := v[name]; has {
				fill(property, inner)
			}
		}
		if rest, ok := raw["additionalProperties"].(map[string]any); ok {
			for _, inner := range v {
				fill(rest, inner)
			}
		}
	case []any:
		if items, ok := raw["items"].(map[string]any); ok {
			for _, inner := range v {
				fill(items, inner)
			}
		}
	}
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[k] = clone(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = clone(inner)
		}
		return out
	}
	return v
}

// check validates value, of a kind that was met, and returns a problem for each fault.
func (s *schemas) check(name string, value map[string]any) []Problem {
	// Through JSON, so that numbers and strings are what the library expects.
	text, err := json.Marshal(value)
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(s.kinds[name].compiled.Validate(instance), &invalid) {
		return nil
	}
	var problems []Problem
	s.collect(name, invalid, &problems)
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	return problems
}

// collect walks to the leaves of a validation error: those say what is wrong.
func (s *schemas) collect(name string, e *jsonschema.ValidationError, out *[]Problem) {
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			s.collect(name, c, out)
		}
		return
	}
	field := path(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			*out = append(*out, Problem{Field: strings.TrimPrefix(field+"."+p, "."), Message: "unknown field" + s.nearest(name, e.InstanceLocation, p)})
		}
	case *kind.Required:
		for _, p := range k.Missing {
			*out = append(*out, Problem{Field: strings.TrimPrefix(field+"."+p, "."), Message: "is required; add it"})
		}
	case *kind.Enum:
		*out = append(*out, Problem{Field: field, Message: fmt.Sprintf("%s is not one of %s", quoted(k.Got), list(k.Want))})
	case *kind.Pattern:
		*out = append(*out, Problem{Field: field, Message: fmt.Sprintf("%q does not match %s", k.Got, k.Want)})
	case *kind.Type:
		*out = append(*out, Problem{Field: field, Message: fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, " or "))})
	default:
		*out = append(*out, Problem{Field: field, Message: e.ErrorKind.LocalizedString(s.printer)})
	}
}

// nearest suggests the field that was probably meant.
func (s *schemas) nearest(name string, at []string, wrong string) string {
	raw := s.kinds[name].raw
	for _, token := range at {
		raw = within(raw, token)
	}
	properties, _ := raw["properties"].(map[string]any)
	best, distance := "", 1+len(wrong)/2
	names := make([]string, 0, len(properties))
	for p := range properties {
		names = append(names, p)
	}
	slices.Sort(names)
	for _, p := range names {
		if d := edits(strings.ToLower(wrong), strings.ToLower(p)); d < distance {
			best, distance = p, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %s?", best)
	case len(names) > 0 && len(names) <= 12:
		return "; there are " + strings.Join(names, ", ")
	}
	return "; remove it"
}

// within is the schema of a property or an item.
func within(raw map[string]any, token string) map[string]any {
	if properties, ok := raw["properties"].(map[string]any); ok {
		if p, ok := properties[token].(map[string]any); ok {
			return p
		}
	}
	for _, k := range []string{"items", "additionalProperties"} {
		if p, ok := raw[k].(map[string]any); ok {
			return p
		}
	}
	return nil
}

// edits is the Levenshtein distance of two short names.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func quoted(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(v)
}

func list(vs []any) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = fmt.Sprint(v)
	}
	return strings.Join(out, ", ")
}
