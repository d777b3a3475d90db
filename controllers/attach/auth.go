package attach

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// authPolicy checks an AuthPolicy, names its items and resolves its references.
// What the schema says is checked again as far as the table rests on it: objects
// from manifests have met no API server.
func (d *draft) authPolicy(p *v1alpha1.AuthPolicy) {
	d.object = p
	d.requires = p.Spec.RequireAuth != nil && *p.Spec.RequireAuth
	if d.requires {
		d.gatewaysOnly()
		if p.GetRules() == nil {
			return
		}
	}
	if !d.oneSection(p.Spec.Rules != nil, p.Spec.Defaults != nil, p.Spec.Overrides != nil) {
		return
	}
	rules, field := p.GetRules(), policy.RulesField(p.Spec.Defaults != nil, p.Spec.Overrides != nil)
	d.conditions(field+".when", rules.When)
	methods := sortedKeys(rules.Authentication)
	for _, name := range methods {
		m := rules.Authentication[name]
		d.method(d.item(ItemAuthentication, name), field+".authentication."+name, &m)
	}
	if rules.Require != "" {
		d.item(ItemRequire)
		d.require(field+".require", rules.Require, methods)
	}
	for _, name := range sortedKeys(rules.Metadata) {
		m := rules.Metadata[name]
		d.metadata(d.item(ItemMetadata, name), field+".metadata."+name, &m)
	}
	d.late = true
	for _, name := range sortedKeys(rules.Authorization) {
		rule := rules.Authorization[name]
		d.authorization(d.item(ItemAuthorization, name), field+".authorization."+name, &rule)
	}
	if rules.Response != nil {
		d.response(field+".response", rules.Response)
	}
	if rules.Public != nil {
		d.item(ItemPublic)
		d.public(field+".public", rules)
	}
	if rules.ForwardCredentials != nil {
		d.item(ItemForwardCredentials)
	}
}

// gatewaysOnly refuses a requirement of authentication on less than a listener.
func (d *draft) gatewaysOnly() {
	for i, t := range d.object.GetTargetRefs() {
		if t.Kind != gatewayv1.Kind(store.Gateway) && t.Kind != gatewayv1.Kind(store.ListenerSet) {
			d.bad(fmt.Sprintf("spec.targetRefs[%d]", i), "requireAuth goes with targets of kind Gateway and ListenerSet; remove it, or this target")
		}
	}
}

func (d *draft) public(field string, rules *v1alpha1.AuthRules) {
	if rules.Public.Reason == "" {
		d.bad(field+".reason", "it is empty; say why the rules are open to everybody")
	}
	if len(rules.Authentication) > 0 {
		d.bad(field, "public rules ask nobody who they are; remove authentication, or public")
	}
}

// require checks what can be checked alone: a name that is not among the
// policy's own methods may be another policy's, which merging brings in.
func (d *draft) require(field, expr string, methods []string) {
	if d.checks.Require == nil || d.checks.Require(expr, methods) == nil {
		return
	}
	named := strings.FieldsFunc(expr, func(r rune) bool { return strings.ContainsRune(" \t()!&|", r) })
	if err := d.checks.Require(expr, append(named, methods...)); err != nil {
		d.bad(field, "%v", err)
	}
}

func (d *draft) method(item, field string, m *v1alpha1.AuthenticationMethod) {
	d.conditions(field+".when", m.When)
	set := 0
	if m.JWT != nil {
		set++
		d.jwt(item, field+".jwt", m.JWT)
	}
	if m.APIKey != nil {
		set++
		d.apiKey(item, field+".apiKey", m.APIKey)
	}
	if m.Basic != nil {
		set++
		d.resolved[item] = d.htpasswd(item, m.Basic)
	}
	if m.ClientCertificate != nil {
		set++
		d.clientCertificate(field+".clientCertificate", m.ClientCertificate)
	}
	if m.OIDC != nil {
		set++
		d.oidc(item, field+".oidc", m.OIDC)
	}
	if m.Introspection != nil {
		set++
		d.introspection(item, field+".introspection", m.Introspection)
	}
	if m.Kubernetes != nil {
		set++
		d.resolved[item] = Parts{Broken: d.clusterless}
	}
	if m.HMAC != nil {
		set++
		d.hmac(item, field+".hmac", m.HMAC)
	}
	if m.Anonymous != nil {
		set++
	}
	if set != 1 {
		d.bad(field, "%d methods are set; set exactly one of jwt, apiKey, basic, clientCertificate, oidc, introspection, kubernetes, hmac and anonymous", set)
	}
}

func (d *draft) jwt(item, field string, j *v1alpha1.JWTAuthentication) {
	d.audiences(field, j.AudienceCheck, j.Audiences)
	policy.CheckJWT(j, func(at, why string) { d.bad(field+at, "%s", why) })
	switch jwks := j.JWKS; {
	case j.SecretRef != nil:
		d.resolved[item] = d.sharedSecrets(item, *j.SecretRef)
	case jwks == nil:
		d.url(field+".issuer", j.Issuer, "keys are discovered from it; or set jwks")
	case jwks.URI != nil:
		d.url(field+".jwks.uri", *jwks.URI, "keys are fetched from it")
	case jwks.BackendRef != nil:
		if why := spec.PrefixFault(jwks.BackendRef.Path); why != "" || !strings.HasPrefix(jwks.BackendRef.Path, "/") {
			d.bad(field+".jwks.backendRef.path", "%q is not a plain path that begins with /", jwks.BackendRef.Path)
		}
		d.resolved[item] = d.service(&jwks.BackendRef.ServicePort)
	case jwks.Inline != nil:
		if d.checks.KeySet != nil {
			if err := d.checks.KeySet(jwks.Inline.Raw); err != nil {
				d.bad(field+".jwks.inline", "%v", err)
			}
		}
	case jwks.ConfigMapRef != nil:
		d.resolved[item] = d.config(jwks.ConfigMapRef, d.checks.KeySet)
	default:
		d.bad(field+".jwks", "set exactly one of uri, backendRef, inline and configMapRef")
	}
}

// sharedSecrets finds the secrets tokens are signed with.
func (d *draft) sharedSecrets(item string, ref v1alpha1.SecretReference) Parts {
	s, parts := d.find(ref)
	if parts.Forbidden {
		return parts
	}
	usable, notes := policy.SharedSecrets(s)
	for _, note := range notes {
		d.notes = append(d.notes, item+": "+note)
	}
	if len(usable) == 0 {
		return Parts{Broken: fmt.Sprintf("Secret %s does not exist, or holds no secret of 32 bytes or more", d.finder().Name(ref))}
	}
	return parts
}

func (d *draft) audiences(field string, check v1alpha1.AudienceCheck, list []string) {
	if (check == v1alpha1.AudienceCheckNone) == (len(list) > 0) {
		d.bad(field, "list the accepted audiences, or write audienceCheck: None to accept a token meant for any")
	}
}

func (d *draft) url(field, text, why string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		d.bad(field, "%q is not an absolute http or https URL; %s", text, why)
	}
}

func (d *draft) apiKey(item, field string, k *v1alpha1.APIKeyAuthentication) {
	d.selected(item, field+".selector", selection{&k.Selector, k.Namespace, func(s *corev1.Secret) error {
		_, err := keysecret.ParseAPIKey(s)
		return err
	}})
}

// hmac checks an hmac method. What the schema says of components is checked by the
// proxy's half too.
func (d *draft) hmac(item, field string, h *v1alpha1.HMACAuthentication) {
	d.duration(field+".maxAge", h.MaxAge, time.Hour)
	d.selected(item, field+".selector", selection{&h.Selector, h.Namespace, func(s *corev1.Secret) error {
		_, err := keysecret.ParseHMACKey(s)
		return err
	}})
}

func (d *draft) htpasswd(item string, spec *v1alpha1.BasicAuthentication) Parts {
	s, parts := d.find(spec.SecretRef)
	if s == nil {
		return parts
	}
	name := nameOf(s)
	lines, ok := s.Data[v1alpha1.HtpasswdKey]
	if !ok {
		return Parts{Broken: fmt.Sprintf("Secret %s has no key %s", name, v1alpha1.HtpasswdKey)}
	}
	for _, note := range policy.HtpasswdNotes(lines, d.checks.Password) {
		d.notes = append(d.notes, fmt.Sprintf("%s: Secret %s %s", item, name, note))
	}
	return parts
}

func (d *draft) authorization(item, field string, r *v1alpha1.AuthorizationRule) {
	d.conditions(field+".when", r.When)
	set := 0
	if r.CEL != nil {
		set++
		d.expression(field+".cel", d.checks.Condition, *r.CEL)
	}
	if c := r.CIDRs; c != nil {
		set++
		if len(c.Allow)+len(c.Deny) == 0 {
			d.bad(field+".cidrs", "name at least one network in allow or deny")
		}
		d.networks(field+".cidrs.allow", c.Allow)
		d.networks(field+".cidrs.deny", c.Deny)
	}
	if len(r.Claims) > 0 {
		set++
		for i, c := range r.Claims {
			if c.Claim == "" || len(c.Values) == 0 {
				d.bad(fmt.Sprintf("%s.claims[%d]", field, i), "name a claim, and at least one value")
			}
		}
	}
	if r.Kubernetes != nil {
		set++
		d.kubernetes(item, field+".kubernetes", r.Kubernetes)
	}
	if r.OPA != nil {
		set++
		d.opa(item, field+".opa", r.OPA)
	}
	if r.ExternalAuth != nil {
		set++
		d.external(item, field+".externalAuth", r.ExternalAuth)
	}
	if set != 1 {
		d.bad(field, "%d conditions are set; set exactly one of cel, cidrs, claims, kubernetes, opa and externalAuth", set)
	}
}

func (d *draft) networks(field string, list []v1alpha1.CIDR) {
	for i, c := range list {
		if _, err := netip.ParsePrefix(string(c)); err != nil {
			d.bad(fmt.Sprintf("%s[%d]", field, i), "%q is not a network in CIDR form; write 192.0.2.0/24, or 192.0.2.7/32 for one address", string(c))
		}
	}
}

func (d *draft) response(field string, r *v1alpha1.AuthResponse) {
	for _, name := range sortedKeys(r.Headers) {
		d.item(ItemHeader, strings.ToLower(name))
		h, at := r.Headers[name], field+".headers."+name
		switch {
		case (h.CEL != nil) == (h.Value != nil):
			d.bad(at, "set exactly one of cel and value")
		case h.CEL != nil:
			d.expression(at+".cel", d.checks.Value, *h.CEL)
		}
	}
	d.credentials(field+".credentials", r)
	if r.Unauthenticated != nil {
		d.item(ItemUnauthenticated)
	}
	if r.Denied != nil {
		d.item(ItemDenied)
	}
}

func inNamespace(o metav1.Object, name gatewayv1.ObjectName) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: string(name)}
}
