package table

import "strings"

// TokenReview accepts tokens that the cluster's API server knows
// (authentication.k8s.io/v1).
type TokenReview struct {
	Audiences []string `json:"audiences,omitempty"` // the token must be for one of them; empty: for the API server
}

// AccessReview allows what the cluster's authorization allows the caller
// (authorization.k8s.io/v1, SubjectAccessReview). Without Resource the request's
// own path is asked about.
type AccessReview struct {
	Prefix   string              `json:"prefix,omitempty"` // before the name and groups of a caller whom others than the cluster have authenticated
	Resource *ResourceAttributes `json:"resource,omitempty"`
	Path     Text                `json:"path,omitzero"` // empty: the request's
	Verb     Text                `json:"verb,omitzero"` // empty: by the request's method
}

// ResourceAttributes is what of a resource is asked about.
type ResourceAttributes struct {
	Group       Text `json:"group,omitzero"`
	Version     Text `json:"version,omitzero"`
	Resource    Text `json:"resource"`
	Subresource Text `json:"subresource,omitzero"`
	Namespace   Text `json:"namespace,omitzero"`
	Name        Text `json:"name,omitzero"`
}

// Text is fixed or computed. At most one of CEL and Value is set.
type Text struct {
	CEL   string `json:"cel,omitempty"`
	Value string `json:"value,omitempty"`
}

// String prints the text, or "{expression}".
func (t Text) String() string {
	if t.CEL != "" {
		return "{" + t.CEL + "}"
	}
	return t.Value
}

// String prints "tokens for a,b".
func (r *TokenReview) String() string {
	if len(r.Audiences) == 0 {
		return "tokens"
	}
	return "tokens for " + strings.Join(r.Audiences, ",")
}

// String prints "cluster(verb get resource orders group shop.example name {request.query.id})".
func (r *AccessReview) String() string {
	var out []string
	add := func(name string, t Text) {
		if t != (Text{}) {
			out = append(out, name+" "+t.String())
		}
	}
	add("verb", r.Verb)
	if a := r.Resource; a != nil {
		add("resource", a.Resource)
		add("subresource", a.Subresource)
		add("group", a.Group)
		add("version", a.Version)
		add("namespace", a.Namespace)
		add("name", a.Name)
	} else if add("path", r.Path); r.Path == (Text{}) {
		out = append(out, "path of the request")
	}
	if r.Prefix != "" {
		out = append(out, "prefix "+r.Prefix)
	}
	return "cluster(" + strings.Join(out, " ") + ")"
}
