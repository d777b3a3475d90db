package kubernetes

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxGroups is how many groups of a caller are told.
const maxGroups = 128

// The attributes that are asked about, by their place in asked.
const (
	verb = iota
	resource
	subresource
	group
	version
	namespace
	name
	attributes
)

// path stands in the place of resource where there is none.
const path = resource

// asked is the attributes of one request.
type asked [attributes]string

// Rule allows what the cluster's authorization allows.
type Rule struct {
	owner    *Owner
	prefix   string
	resource bool
	texts    [attributes]text
}

// text is fixed or computed.
type text struct {
	value   string
	program *expr.Program
}

// Rule checks t and makes it ready.
func (o *Owner) Rule(t *table.AccessReview) (*Rule, error) {
	r := &Rule{owner: o, prefix: t.Prefix, resource: t.Resource != nil}
	from := [attributes]table.Text{verb: t.Verb, path: t.Path}
	if a := t.Resource; a != nil {
		if a.Resource == (table.Text{}) {
			return nil, errors.New("kubernetes: resource is empty")
		}
		from = [attributes]table.Text{
			verb: t.Verb, resource: a.Resource, subresource: a.Subresource, group: a.Group, version: a.Version, namespace: a.Namespace, name: a.Name,
		}
	}
	for i, f := range from {
		r.texts[i].value = f.Value
		if f.CEL == "" {
			continue
		}
		var err error
		if r.texts[i].program, err = o.cfg.Env.Compile(f.CEL, expr.String); err != nil {
			return nil, fmt.Errorf("kubernetes: %w", err)
		}
	}
	return r, nil
}

// Authorize implements auth.Rule. What was asked before is looked up, without
// allocation but for expressions' values.
func (r *Rule) Authorize(x *exchange.Exchange) auth.Result {
	var a asked
	if _, err := r.about(x, &a); err != nil {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRuleError}
	}
	p := &x.Principal
	if p.Cluster == nil && system(r.prefix, p.Subject) {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeClusterForbidden}
	}
	key := r.key(x, &a)
	allowed, ok := r.owner.decisions.Get(mem.String(key[:]))
	if ok {
		r.owner.cfg.Asked(Access, Cached)
	} else {
		var err error
		if allowed, err = r.load(x, key, &a); err != nil {
			return failed(err)
		}
	}
	if !allowed {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeClusterForbidden}
	}
	return auth.Result{Outcome: auth.Accepted}
}

var errNoValue = errors.New("it has no value")

// Cause says why Authorize comes to auth.CodeRuleError.
func (r *Rule) Cause(x *exchange.Exchange) string {
	var a asked
	i, err := r.about(x, &a)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errNoValue):
		return r.part(i) + ": " + err.Error()
	}
	return r.part(i) + ": " + r.texts[i].program.Cause(err)
}

// part is what the policy calls an attribute.
func (r *Rule) part(i int) string {
	if i == path && !r.resource {
		return "path"
	}
	return [attributes]string{verb: "verb", resource: "resource", subresource: "subresource", group: "group", version: "version", namespace: "namespace", name: "name"}[i]
}

// about finds out what is asked about. With an error it says of which part that is.
func (r *Rule) about(x *exchange.Exchange, a *asked) (part int, err error) {
	for i := range r.texts {
		a[i] = r.texts[i].value
		if r.texts[i].program != nil {
			v, there, err := r.texts[i].program.String(x)
			if err != nil {
				return i, err
			}
			// An empty part asks about more or about something else: every namespace, the core group, no subresource.
			if !there {
				return i, errNoValue
			}
			a[i] = v
		}
	}
	switch {
	case !r.resource && a[path] == "":
		a[path] = x.Request.Path
	case r.resource && a[resource] == "":
		return resource, errNoValue
	}
	if a[verb] == "" {
		a[verb] = r.verb(x.Request.Method, a[name] != "")
	}
	return 0, nil
}

// verb is the verb of the API for a request's method.
func (r *Rule) verb(method string, named bool) string {
	switch {
	case !r.resource:
	case (method == "GET" || method == "HEAD") && named:
		return "get"
	case method == "GET" || method == "HEAD":
		return "list"
	case method == "POST":
		return "create"
	case method == "PUT":
		return "update"
	case method == "DELETE" && !named:
		return "deletecollection"
	}
	for _, known := range [...][2]string{{"GET", "get"}, {"HEAD", "head"}, {"POST", "post"}, {"PUT", "put"}, {"PATCH", "patch"}, {"DELETE", "delete"}, {"OPTIONS", "options"}} {
		if method == known[0] {
			return known[1]
		}
	}
	return strings.ToLower(method)
}

// system reports whether somebody whom others than the cluster have authenticated
// bears a name that the cluster keeps for its own.
func system(prefix, name string) bool {
	const reserved = "system:"
	if prefix == "" {
		return strings.HasPrefix(name, reserved)
	}
	return len(prefix)+len(name) >= len(reserved) && strings.HasPrefix(prefix+name, reserved)
}

// key is what a decision is kept by: all that is asked.
func (r *Rule) key(x *exchange.Exchange, a *asked) [sha256.Size]byte {
	p := &x.Principal
	size := 256 + len(r.prefix) + len(p.Subject)
	for _, s := range a {
		size += len(s) + 20
	}
	b := x.Arena.Alloc(size)[:0]
	if r.resource {
		b = append(b, 'r')
	}
	for _, s := range a {
		b = remote.AppendPart(b, s)
	}
	if c := p.Cluster; c != nil {
		b = append(append(b, 'c'), c.Sum[:]...)
		return sha256.Sum256(b)
	}
	b = remote.AppendPart(remote.AppendPart(b, r.prefix), p.Subject)
	each(p.Claims, func(g string) { b = remote.AppendPart(b, g) })
	return sha256.Sum256(b)
}

// each calls f with the groups that a token names in the claim of that name.
func each(claims map[string]any, f func(group string)) {
	switch groups := claims["groups"].(type) {
	case []any:
		for _, g := range groups[:min(len(groups), maxGroups)] {
			if s, is := g.(string); is {
				f(s)
			}
		}
	case []string:
		for _, s := range groups[:min(len(groups), maxGroups)] {
			f(s)
		}
	}
}

// accessSpec and accessStatus are those of a SubjectAccessReview.
type accessSpec struct {
	Resource    *resourceSpec       `json:"resourceAttributes,omitempty"`
	NonResource *pathSpec           `json:"nonResourceAttributes,omitempty"`
	User        string              `json:"user"`
	UID         string              `json:"uid,omitempty"`
	Groups      []string            `json:"groups,omitempty"`
	Extra       map[string][]string `json:"extra,omitempty"`
}

type resourceSpec struct {
	Verb        string `json:"verb"`
	Group       string `json:"group,omitempty"`
	Version     string `json:"version,omitempty"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
}

type pathSpec struct {
	Path string `json:"path"`
	Verb string `json:"verb"`
}

type accessStatus struct {
	Allowed bool `json:"allowed"`
	Denied  bool `json:"denied"`
}

func (r *Rule) load(x *exchange.Exchange, key [sha256.Size]byte, a *asked) (bool, error) {
	spec := r.spec(x, a)
	allowed, err := r.owner.decisions.Load(auth.ContextOf(x), string(key[:]), func(ctx context.Context) (bool, remote.Life, error) {
		s, err := review[accessSpec, accessStatus](ctx, r.owner, api{"authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"}, spec)
		if err != nil || !s.Allowed || s.Denied {
			return false, remote.Life{Fresh: fresh}, err
		}
		return true, remote.Life{Fresh: fresh, Spare: spare}, nil
	})
	switch {
	case err != nil:
		r.owner.cfg.Asked(Access, Failed)
	case allowed:
		r.owner.cfg.Asked(Access, Yes)
	default:
		r.owner.cfg.Asked(Access, No)
	}
	return allowed, err
}

// spec is the question, in memory of its own: it may be asked for a moment after x
// is over.
func (r *Rule) spec(x *exchange.Exchange, a *asked) accessSpec {
	var s accessSpec
	var own asked
	for i := range a {
		own[i] = strings.Clone(a[i])
	}
	if r.resource {
		s.Resource = &resourceSpec{own[verb], own[group], own[version], own[resource], own[subresource], own[namespace], own[name]}
	} else {
		s.NonResource = &pathSpec{own[path], own[verb]}
	}
	p := &x.Principal
	switch c := p.Cluster; {
	case c != nil:
		s.User, s.UID, s.Groups, s.Extra = c.Name, c.UID, c.Groups, c.Extra
	case p.Subject == "":
		s.User, s.Groups = anonymous, []string{"system:unauthenticated"}
	default:
		s.User = r.prefix + p.Subject
		each(p.Claims, func(g string) {
			if !system(r.prefix, g) {
				s.Groups = append(s.Groups, r.prefix+g)
			}
		})
	}
	return s
}
