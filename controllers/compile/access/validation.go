package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// schemaBodyBytes is how much body a schema check holds where the check does
// not say.
const schemaBodyBytes = 1 << 20

// compileValidation compiles an effective ValidationPolicy. One that checks
// nothing is nil.
func compileValidation(e *attach.Effective) *compiledValidation {
	if e.Closed != nil {
		reply, rejection := closed(e.Closed)
		return closedValidation(reply, rejection)
	}
	if len(e.Items) == 0 {
		return &compiledValidation{}
	}
	list, index := sources(e.Items, func(p *attach.Policy) []string { return expressions(validationRules(p).When) })
	v := &table.Validation{Sources: list}
	for _, it := range e.Items { // by name
		if broken := it.From.Resolved[it.Name].Broken; broken != "" {
			return closedValidation(unavailable(),
				table.Rejection{Object: Name(it.From.Key), Reason: it.Name + ": " + broken, Status: 503})
		}
		check, err := compileCheck(it)
		if err != nil {
			reply, rejection := closed(&attach.Closed{Policy: it.From.Key, Reason: it.Name + ": " + err.Error()})
			return closedValidation(reply, rejection)
		}
		check.Source = index[it.From]
		v.Checks = append(v.Checks, check)
	}
	return &compiledValidation{validation: v}
}

func closedValidation(reply *table.Reply, r table.Rejection) *compiledValidation {
	return &compiledValidation{
		validation: &table.Validation{Closed: reply, Sources: []table.Source{{Policy: r.Object}}},
		rejected:   []table.Rejection{r},
	}
}

func validationRules(p *attach.Policy) *v1alpha1.ValidationRules {
	if object, ok := p.Object.(*v1alpha1.ValidationPolicy); ok && object.GetRules() != nil {
		return object.GetRules()
	}
	return &v1alpha1.ValidationRules{}
}

func compileCheck(it attach.Item) (table.Check, error) {
	section, name, _ := strings.Cut(it.Name, "/")
	spec, ok := validationRules(it.From).Checks[name]
	if section != attach.ItemCheck || !ok {
		return table.Check{}, fmt.Errorf("unknown item")
	}
	out := table.Check{Name: name, ContentTypes: spec.ContentTypes}
	for _, m := range spec.Methods {
		out.Methods = append(out.Methods, string(m))
	}
	slices.Sort(out.Methods)
	if spec.MaxBodyBytes != nil {
		out.MaxBodyBytes = spec.MaxBodyBytes.Value()
	}
	for _, p := range spec.Headers {
		q := compileParameter(p)
		q.Name = strings.ToLower(q.Name)
		out.Headers = append(out.Headers, q)
	}
	for _, p := range spec.Query {
		out.Query = append(out.Query, compileParameter(p))
	}
	if spec.JSONSchema != nil {
		if out.MaxBodyBytes == 0 {
			out.MaxBodyBytes = schemaBodyBytes
		}
		var err error
		out.Schema, err = compileSchema(it, spec.JSONSchema)
		return out, err
	}
	return out, nil
}

func compileSchema(it attach.Item, s *v1alpha1.JSONSchemaSource) (*table.Schema, error) {
	config := it.From.Resolved[it.Name].Config
	switch {
	case s.Inline != nil:
		_, name, _ := strings.Cut(it.Name, "/")
		return &table.Schema{ID: Name(it.From.Key) + " check " + name, Document: s.Inline.Raw}, nil
	case s.ConfigMapRef != nil && config != nil:
		return &table.Schema{
			ID:       "ConfigMap " + config.Namespace + "/" + config.Name + " " + s.ConfigMapRef.Key,
			Document: attach.ConfigValue(config, s.ConfigMapRef.Key),
		}, nil
	}
	return nil, fmt.Errorf("jsonSchema: no source is set")
}

func compileParameter(p v1alpha1.Parameter) table.Param {
	out := table.Param{Name: p.Name, Required: p.Required, Type: string(p.Type), Pattern: deref(p.Pattern), Enum: p.Enum}
	if out.Type == "" {
		out.Type = "string"
	}
	if p.Minimum != nil {
		f := float64(*p.Minimum)
		out.Minimum = &f
	}
	if p.Maximum != nil {
		f := float64(*p.Maximum)
		out.Maximum = &f
	}
	return out
}
