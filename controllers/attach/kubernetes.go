package attach

import "github.com/gatehouse-dev/gatehouse/api/v1alpha1"

// kubernetes checks a kubernetes rule.
func (d *draft) kubernetes(item, field string, k *v1alpha1.KubernetesAuthorization) {
	d.resolved[item] = Parts{Broken: d.clusterless}
	if k.ResourceAttributes != nil && k.NonResourceAttributes != nil {
		d.bad(field, "set at most one of resourceAttributes and nonResourceAttributes")
	}
	if a := k.ResourceAttributes; a != nil {
		at := field + ".resourceAttributes"
		d.text(at+".resource", &a.Resource)
		d.text(at+".verb", a.Verb)
		d.text(at+".group", a.Group)
		d.text(at+".version", a.Version)
		d.text(at+".subresource", a.Subresource)
		d.text(at+".namespace", a.Namespace)
		d.text(at+".name", a.Name)
	}
	if a := k.NonResourceAttributes; a != nil {
		d.text(field+".nonResourceAttributes.path", a.Path)
		d.text(field+".nonResourceAttributes.verb", a.Verb)
	}
}

// text checks one that is fixed or computed, and may be missing.
func (d *draft) text(field string, t *v1alpha1.Text) {
	switch {
	case t == nil:
	case (t.CEL != nil) == (t.Value != nil):
		d.bad(field, "set exactly one of cel and value")
	case t.CEL != nil:
		d.expression(field+".cel", d.checks.Value, *t.CEL)
	}
}
