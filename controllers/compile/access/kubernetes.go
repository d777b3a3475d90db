package access

import (
	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// kubernetes compiles a kubernetes rule.
func (c *authCompiler) kubernetes(r *table.AuthRule, spec *v1alpha1.KubernetesAuthorization) {
	if r.Unavailable = c.broken(c.from.Resolved[c.name]); r.Unavailable != "" {
		return
	}
	r.Kubernetes = &table.AccessReview{Prefix: spec.Prefix}
	if a := spec.ResourceAttributes; a != nil {
		r.Kubernetes.Verb = text(a.Verb)
		r.Kubernetes.Resource = &table.ResourceAttributes{
			Group: text(a.Group), Version: text(a.Version), Resource: text(&a.Resource), Subresource: text(a.Subresource),
			Namespace: text(a.Namespace), Name: text(a.Name),
		}
	}
	if a := spec.NonResourceAttributes; a != nil {
		r.Kubernetes.Path, r.Kubernetes.Verb = text(a.Path), text(a.Verb)
	}
}

func text(t *v1alpha1.Text) (out table.Text) {
	if t != nil {
		out.CEL, out.Value = expression(t.CEL), deref(t.Value)
	}
	return out
}
