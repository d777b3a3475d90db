package attach

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// opa checks an opa rule, and finds its ConfigMaps.
func (d *draft) opa(item, field string, o *v1alpha1.OPAAuthorization) {
	check := d.checks.Rego
	if check == nil {
		check = func(string, string, []byte) error { return nil }
	}
	if (o.Policy != nil) == (o.ConfigMapRef != nil) {
		d.bad(field, "set exactly one of policy and configMapRef")
		return
	}
	var parts Parts
	if o.Policy == nil {
		parts = d.config(o.ConfigMapRef, func(policy []byte) error { return check(string(policy), o.Query, nil) })
	} else if err := check(*o.Policy, o.Query, nil); err != nil {
		d.bad(field+".policy", "%v", err)
		return
	}
	if o.DataRef != nil && parts.Broken == "" {
		data := d.config(o.DataRef, func(text []byte) error {
			data, err := regoData(text)
			if err == nil {
				err = check(Rego(o, parts), o.Query, data)
			}
			return err
		})
		parts.Data, parts.Broken = data.Config, data.Broken
	}
	d.resolved[item] = parts
}

// Rego is the policy of an opa rule, which resolved to parts.
func Rego(o *v1alpha1.OPAAuthorization, parts Parts) string {
	if o.Policy != nil {
		return *o.Policy
	}
	return string(ConfigValue(parts.Config, o.ConfigMapRef.Key))
}

// RegoData is what the policy of an opa rule finds as data, in JSON; nil for
// nothing.
func RegoData(o *v1alpha1.OPAAuthorization, data *corev1.ConfigMap) ([]byte, error) {
	if o.DataRef == nil || data == nil {
		return nil, nil
	}
	return regoData(ConfigValue(data, o.DataRef.Key))
}

func regoData(text []byte) ([]byte, error) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("it is neither JSON nor YAML: %w", err)
	}
	return data, nil
}
