package manifests

import (
	"bytes"
	"cmp"
	_ "embed" // schemas.json
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"k8s.io/apimachinery/pkg/runtime/schema"
	strictjson "sigs.k8s.io/json"

	"github.com/gatehouse-dev/gatehouse/controllers/rules"
)

// bundle is the schemas of the custom resources the gateway reads, by apiVersion/kind, and the
// rules that are in them; hack/schemas writes it from their definitions.
//
//go:embed schemas.json
var bundle []byte

// schemas checks custom resources and fills in their defaults. What a kind needs for that is made when
// the first object of it is read: all of them together would be a third of what a small gateway has on its heap.
type schemas struct {
	text    map[string]json.RawMessage // of all kinds
	kinds   map[string]*checks         // of those that were met
	rules   *rules.Set                 // that the kinds share
	printer *message.Printer
}

// checks are one kind's schema, as it was written and as it is checked.
type checks struct {
	raw      map[string]any
	compiled *jsonschema.Schema
}

func loadSchemas() (*schemas, error) {
	var all struct {
		Kinds map[string]json.RawMessage
		Rules []rules.Rule
	}
	if err := json.Unmarshal(bundle, &all); err != nil {
		return nil, fmt.Errorf("the schemas built into this program: %w", err)
	}
	return &schemas{text: all.Kinds, kinds: map[string]*checks{}, rules: rules.NewSet(all.Rules), printer: message.NewPrinter(language.English)}, nil
}

// of returns the checks of a kind; nil: it has none.
func (s *schemas) of(name string) (*checks, error) {
	if c := s.kinds[name]; c != nil || s.text[name] == nil {
		return c, nil
	}
	c := &checks{}
	err := json.Unmarshal(s.text[name], &c.raw)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
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

// schemaOf is the name of a kind's schema.
func schemaOf(gvk schema.GroupVersionKind) string {
	return gvk.GroupVersion().String() + "/" + gvk.Kind
}

// decode turns a document into a typed object. The problems have a field and a
// message; the caller knows the rest.
func (r *Reader) decode(gvk schema.GroupVersionKind, value map[string]any) (Object, []Problem) {
	name := schemaOf(gvk)
	c, err := r.schemas.of(name)
	if err != nil {
		return nil, []Problem{{Message: err.Error()}}
	}
	problems := unquoted(value)
	if c != nil {
		fill(c.raw, value)
		problems = append(problems, r.schemas.check(name, value, !r.Unruled)...)
	}
	if len(problems) > 0 {
		return nil, problems
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

// fill sets the defaults an API server would set, and takes away what is null, as it does: a
// field with nothing behind it is as if it were not there. No field of ours may be null.
func fill(raw map[string]any, value any) {
	switch v := value.(type) {
	case map[string]any:
		properties, _ := raw["properties"].(map[string]any)
		for name, p := range properties {
			property, _ := p.(map[string]any)
			if v[name] == nil {
				delete(v, name)
				if d, ok := property["default"]; ok {
					v[name] = clone(d)
				}
			}
			if inner, has := v[name]; has {
				fill(property, inner)
			}
		}
		if rest, ok := raw["additionalProperties"].(map[string]any); ok {
			for name, inner := range v {
				if inner == nil {
					delete(v, name)
				}
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
func (s *schemas) check(name string, value map[string]any, ruled bool) []Problem {
	// Through JSON, so that numbers and strings are what the library expects.
	text, err := json.Marshal(value)
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	var problems []Problem
	var invalid *jsonschema.ValidationError
	if errors.As(s.kinds[name].compiled.Validate(instance), &invalid) {
		if s.collect(name, invalid, &problems); len(problems) == 0 {
			return []Problem{{Message: invalid.LocalizedError(s.printer)}}
		}
	} else {
		problems = twins(s.kinds[name].raw, instance, nil)
	}
	if ruled && (invalid == nil || !shapeless(invalid)) {
		for _, f := range s.rules.Check(s.kinds[name].raw, value) {
			problems = append(problems, Problem{Field: path(f.At), Message: f.Message})
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	return slices.Compact(problems)
}

// shapeless says whether an object has a fault that an API server does not run rules over: they
// count on fields being there, of their types and not too many.
func shapeless(e *jsonschema.ValidationError) bool {
	switch e.ErrorKind.(type) {
	case *kind.AdditionalProperties, *kind.Required, *kind.Type, *kind.Format, *kind.Enum, *kind.MaxLength, *kind.MaxItems, *kind.MaxProperties:
		return true
	}
	return slices.ContainsFunc(e.Causes, shapeless)
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
		message := fmt.Sprintf("%q does not match %s", k.Got, k.Want)
		if form := forms[k.Want]; form != "" {
			message = fmt.Sprintf("%q is not of the right form; write %s", k.Got, form)
		}
		*out = append(*out, Problem{Field: field, Message: message})
	case *kind.Type:
		message := fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, " or "))
		if pattern, _ := s.at(name, e.InstanceLocation)["pattern"].(string); forms[pattern] != "" {
			message += "; write " + forms[pattern]
		} else if k.Got == "boolean" && slices.Contains(k.Want, "string") { // yes, or off
			message += "; put it in quotes"
		}
		*out = append(*out, Problem{Field: field, Message: message})
	case *kind.Format: // there is ipv4 beside ipv6 alone
		*out = append(*out, Problem{Field: field, Message: fmt.Sprintf("%q is not an IP address", k.Got)})
	case *kind.Not: // which object an alternative is for; the other says what is wrong with this one
	default:
		*out = append(*out, Problem{Field: field, Message: cmp.Or(bound(e.ErrorKind), e.ErrorKind.LocalizedString(s.printer))})
	}
}

// twins finds items of one list that an API server could not tell apart: of a set, or with the same keys.
func twins(raw map[string]any, value any, at []string) (problems []Problem) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if inner := within(raw, name); inner != nil {
				problems = append(problems, twins(inner, v[name], append(at, name))...)
			}
		}
	case []any:
		first := map[string]int{}
		for i, item := range v {
			here := append(slices.Clone(at), strconv.Itoa(i))
			problems = append(problems, twins(within(raw, here[len(at)]), item, here)...)
			id, message := identity(raw, item)
			if id == "" {
				continue
			}
			other, found := first[id]
			if !found {
				first[id] = i
				continue
			}
			problems = append(problems, Problem{Field: path(here), Message: fmt.Sprintf(message, path(append(slices.Clone(at), strconv.Itoa(other))))})
		}
	}
	return problems
}

// identity is what no other item of a list may have, and the message where one does, with a verb for its
// place; it is empty for items that may be alike.
func identity(raw map[string]any, item any) (id, message string) {
	if raw["x-kubernetes-list-type"] == "set" {
		return fmt.Sprintf("%q", fmt.Sprint(item)), "is the same as %s; remove one"
	}
	keys, _ := raw["x-kubernetes-list-map-keys"].([]any)
	object, _ := item.(map[string]any)
	if len(keys) == 0 || object == nil {
		return "", ""
	}
	var values []string
	for _, k := range keys {
		values = append(values, fmt.Sprintf("%q", fmt.Sprint(object[k.(string)])))
	}
	return strings.Join(values, ","), "has the same " + list(keys) + " as %s; give each its own"
}

// forms tell of patterns that people break most often what they ask for.
var forms = map[string]string{
	`^([0-9]{1,5}(h|m|s|ms)){1,4}$`:                                            "whole numbers with units, such as 30s, 500ms or 1h30m",
	`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`: "a host name in lower case, without scheme, port or path, such as shop.example.com or *.example.com",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`:                                          "lower case letters, digits and -",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:        "lower case letters, digits, - and .",
	`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:     "an API group without its version, such as gateway.networking.k8s.io",
}

// at is the schema of what lies there in an object of a kind that was met.
func (s *schemas) at(name string, location []string) map[string]any {
	raw := s.kinds[name].raw
	for _, token := range location {
		raw = within(raw, token)
	}
	return raw
}

// nearest suggests the field that was probably meant.
func (s *schemas) nearest(name string, at []string, wrong string) string {
	properties, _ := s.at(name, at)["properties"].(map[string]any)
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
