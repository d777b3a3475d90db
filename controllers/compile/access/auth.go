package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// defaultLeeway is how far clocks may differ where a policy does not say.
const defaultLeeway = 30 * time.Second

// authCompiler collects the parts of one effective AuthPolicy.
type authCompiler struct {
	reach Reach
	out   *compiledAuth
	auth  *table.Auth
	from  *attach.Policy // of the item at hand
	name  string         // of the item at hand
	at    int            // index of from in Sources
}

// compileAuth compiles an effective AuthPolicy. One that asks for nothing is
// open: its Auth is nil.
func compileAuth(e *attach.Effective, reach Reach) *compiledAuth {
	if e.Closed != nil {
		reply, rejection := closed(e.Closed)
		return &compiledAuth{
			auth:     &table.Auth{Closed: reply, Sources: []table.Source{{Policy: Name(e.Closed.Policy)}}},
			rejected: []table.Rejection{rejection},
		}
	}
	if len(e.Items) == 0 {
		return &compiledAuth{}
	}
	list, index := sources(e.Items, func(p *attach.Policy) []string { return expressions(p.AuthRules().When) })
	c := &authCompiler{reach: reach, auth: &table.Auth{Sources: list}, out: &compiledAuth{}}
	for _, it := range e.Items { // by name, so every list of the Auth is by name
		c.from, c.name, c.at = it.From, it.Name, index[it.From]
		if err := c.item(it.From.AuthRules()); err != nil {
			return compileAuth(&attach.Effective{Closed: &attach.Closed{Policy: it.From.Key, Reason: it.Name + ": " + err.Error()}}, reach)
		}
	}
	c.exchanged()
	c.out.auth = c.auth
	return c.out
}

// item compiles the named item of the rules it came from.
func (c *authCompiler) item(rules *v1alpha1.AuthRules) error {
	section, name, _ := strings.Cut(c.name, "/")
	switch section {
	case attach.ItemAuthentication:
		return c.method(name, rules.Authentication[name])
	case attach.ItemRequire:
		c.auth.Require = rules.Require
	case attach.ItemMetadata:
		spec := rules.Metadata[name]
		return c.metadata(name, &spec)
	case attach.ItemAuthorization:
		return c.rule(name, rules.Authorization[name])
	case attach.ItemHeader:
		for key, h := range rules.Response.Headers {
			if strings.EqualFold(key, name) {
				c.auth.Headers = append(c.auth.Headers, table.HeaderExpr{Name: name, Source: c.at, CEL: expression(h.CEL), Value: deref(h.Value)})
				break
			}
		}
	case attach.ItemCredential:
		spec := rules.Response.Credentials[name]
		return c.credential(name, &spec)
	case attach.ItemUnauthenticated:
		c.auth.Unauthenticated = denyReply(rules.Response.Unauthenticated, 401, "unauthenticated")
	case attach.ItemDenied:
		c.auth.Denied = denyReply(rules.Response.Denied, 403, "denied")
	case attach.ItemPublic:
		c.auth.Public = &table.Public{Source: c.at, Reason: rules.Public.Reason}
		if at := rules.Public.ExpiresAt; at != nil {
			c.auth.Public.Expires = max(at.Unix(), 1) // 0 would read as never
		}
	case attach.ItemForwardCredentials:
		c.auth.ForwardCredentials = *rules.ForwardCredentials
	default:
		return fmt.Errorf("unknown item")
	}
	return nil
}

func (c *authCompiler) method(name string, spec v1alpha1.AuthenticationMethod) error {
	m := table.AuthMethod{Name: name, Source: c.at, When: expressions(spec.When)}
	parts := c.from.Resolved[c.name]
	var err error
	switch m.Unavailable = c.broken(parts); {
	case m.Unavailable != "":
	case spec.JWT != nil:
		m.From = credentialSources(spec.JWT.From, table.CredentialSource{Header: "authorization", Scheme: "Bearer"})
		m.JWT, err = c.jwt(spec.JWT, parts)
	case spec.APIKey != nil:
		m.From = credentialSources(spec.APIKey.From, table.CredentialSource{Header: "x-api-key"})
		m.APIKeys = apiKeys(c.from.Key.Namespace, spec.APIKey, parts)
	case spec.Basic != nil:
		m.From = credentialSources(nil, table.CredentialSource{Header: "authorization", Scheme: "Basic"})
		m.Basic, err = basic(spec.Basic, parts)
	case spec.ClientCertificate != nil:
		m.ClientCertificate, err = clientCertificate(spec.ClientCertificate)
	case spec.OIDC != nil:
		m.OIDC, err = c.oidc(spec.OIDC, parts)
	case spec.Introspection != nil:
		m.From = credentialSources(spec.Introspection.From, table.CredentialSource{Header: "authorization", Scheme: "Bearer"})
		m.Introspection, err = c.introspection(spec.Introspection, parts)
	case spec.Kubernetes != nil:
		m.From = credentialSources(spec.Kubernetes.From, table.CredentialSource{Header: "authorization", Scheme: "Bearer"})
		m.Kubernetes = &table.TokenReview{Audiences: spec.Kubernetes.Audiences}
	case spec.HMAC != nil:
		m.HMAC, err = hmac(c.from.Key.Namespace, spec.HMAC, parts)
	case spec.Anonymous != nil:
		m.Anonymous = true
	default:
		return fmt.Errorf("no method is set")
	}
	c.auth.Methods = append(c.auth.Methods, m)
	return err
}

// jwt compiles a jwt method and notes the key set it verifies with.
func (c *authCompiler) jwt(spec *v1alpha1.JWTAuthentication, parts attach.Parts) (*table.JWT, error) {
	out := &table.JWT{Issuer: spec.Issuer, Audiences: spec.Audiences, Leeway: defaultLeeway}
	for _, a := range spec.Algorithms {
		out.Algorithms = append(out.Algorithms, string(a))
	}
	if len(out.Algorithms) == 0 { // those its key allows: every asymmetric one
		out.Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	}
	if spec.Leeway != nil {
		d, err := time.ParseDuration(string(*spec.Leeway))
		if err != nil {
			return nil, fmt.Errorf("leeway: %w", err)
		}
		out.Leeway = d
	}
	set := &table.KeySet{}
	switch jwks := spec.JWKS; {
	case spec.SecretRef != nil && len(parts.Secrets) == 1:
		set = sharedKeys(parts.Secrets[0])
	case jwks == nil:
		set.ID, set.Discovery = policy.DiscoveredKeys(spec.Issuer), spec.Issuer
	case jwks.URI != nil:
		set.ID, set.URI = policy.KeysAt(*jwks.URI), *jwks.URI
	case jwks.BackendRef != nil && parts.Service != nil:
		set.Backend, set.Path = c.backend(parts, &jwks.BackendRef.ServicePort), jwks.BackendRef.Path
		set.ID = policy.KeysOf(set.Backend, set.Path)
	case jwks.Inline != nil:
		set.ID, set.Inline = Name(c.from.Key)+" "+c.name, jwks.Inline.Raw
	case jwks.ConfigMapRef != nil && parts.Config != nil:
		set.ID = "ConfigMap " + parts.Config.Namespace + "/" + parts.Config.Name + " " + jwks.ConfigMapRef.Key
		set.Inline = attach.ConfigValue(parts.Config, jwks.ConfigMapRef.Key)
	default:
		return nil, fmt.Errorf("jwks: no source is set")
	}
	out.KeySet = set.ID
	c.out.keySets = append(c.out.keySets, set)
	return out, nil
}

// sharedKeys compiles the entries of a Secret that are long enough.
func sharedKeys(s *corev1.Secret) *table.KeySet {
	set := &table.KeySet{ID: "Secret " + s.Namespace + "/" + s.Name}
	kids, _ := policy.SharedSecrets(s)
	for _, kid := range kids {
		set.Shared = append(set.Shared, table.SharedKey{ID: kid, Secret: s.Data[kid]})
	}
	return set
}

// apiKeys compiles the keys of the selected Secrets, which attach has checked.
func apiKeys(namespace string, spec *v1alpha1.APIKeyAuthentication, parts attach.Parts) *table.APIKeys {
	out := &table.APIKeys{ID: selectionID(namespace, spec.Namespace, &spec.Selector)}
	for _, s := range parts.Secrets {
		k, err := keysecret.ParseAPIKey(s)
		if err != nil {
			continue
		}
		key := holder(s, &k)
		key.Hash = k.Hash
		out.Keys = append(out.Keys, &key)
	}
	slices.SortFunc(out.Keys, func(a, b *table.APIKey) int { return strings.Compare(a.Secret, b.Secret) })
	return out
}

// selectionID names the keys that policies of a namespace select there or, as far
// as it is granted to them, in another.
func selectionID(namespace string, in *gatewayv1.Namespace, by *metav1.LabelSelector) string {
	if in != nil && *in != "" && string(*in) != namespace {
		namespace += " from " + string(*in)
	}
	return namespace + " " + metav1.FormatLabelSelector(by)
}

// holder is who has a key.
func holder(s *corev1.Secret, k *keysecret.APIKey) table.APIKey {
	return table.APIKey{
		Secret: s.Namespace + "/" + s.Name, Subject: k.Subject, Scopes: k.Scopes, Plan: k.Plan, Metadata: k.Metadata,
		NotBefore: k.NotBefore, Expires: k.Expires,
	}
}

// basic compiles the htpasswd lines that name a user.
func basic(spec *v1alpha1.BasicAuthentication, parts attach.Parts) (*table.Basic, error) {
	if len(parts.Secrets) != 1 {
		return nil, fmt.Errorf("secretRef: %d Secrets", len(parts.Secrets))
	}
	s := parts.Secrets[0]
	out := &table.Basic{ID: s.Namespace + "/" + s.Name, Realm: spec.Realm}
	if out.Realm == "" {
		out.Realm = "gatehouse"
	}
	for line := range strings.Lines(string(s.Data[v1alpha1.HtpasswdKey])) {
		line = strings.TrimSpace(line)
		name, hash, ok := strings.Cut(line, ":")
		if ok && name != "" && !strings.HasPrefix(line, "#") { // without a hash too: it locks the user out
			out.Users = append(out.Users, table.BasicUser{Name: name, Hash: table.Secret(hash)})
		}
	}
	return out, nil
}

func (c *authCompiler) rule(name string, spec v1alpha1.AuthorizationRule) error {
	r := table.AuthRule{Name: name, Source: c.at, When: expressions(spec.When), Shadow: spec.Mode == v1alpha1.ModeShadow, CEL: expression(spec.CEL)}
	for _, claim := range spec.Claims {
		m := table.ClaimMatch(claim.Match)
		if claim.Match == v1alpha1.ClaimMatchAny {
			m = table.ClaimAny
		}
		r.Claims = append(r.Claims, table.ClaimCondition{Claim: claim.Claim, Match: m, Values: claim.Values})
	}
	if spec.CIDRs != nil {
		allow, err := prefixes(spec.CIDRs.Allow)
		if err != nil {
			return fmt.Errorf("allow: %w", err)
		}
		deny, err := prefixes(spec.CIDRs.Deny)
		if err != nil {
			return fmt.Errorf("deny: %w", err)
		}
		r.CIDRs = &table.CIDRs{Allow: allow, Deny: deny}
	}
	if spec.Kubernetes != nil {
		c.kubernetes(&r, spec.Kubernetes)
	}
	if spec.OPA != nil {
		if err := c.opa(&r, spec.OPA); err != nil {
			return fmt.Errorf("opa: %w", err)
		}
	}
	if spec.ExternalAuth != nil {
		if err := c.external(&r, spec.ExternalAuth); err != nil {
			return fmt.Errorf("externalAuth: %w", err)
		}
	}
	c.auth.Rules = append(c.auth.Rules, r)
	return nil
}

func prefixes(in []v1alpha1.CIDR) (out []netip.Prefix, err error) {
	for _, s := range in {
		p, err := netip.ParsePrefix(string(s))
		if err != nil {
			return nil, err
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func credentialSources(in []v1alpha1.CredentialSource, otherwise table.CredentialSource) []table.CredentialSource {
	if len(in) == 0 {
		return []table.CredentialSource{otherwise}
	}
	var out []table.CredentialSource
	for _, s := range in {
		t := table.CredentialSource{Scheme: deref(s.Scheme), Cookie: deref(s.Cookie), Query: deref(s.Query)}
		if s.Header != nil {
			t.Header = strings.ToLower(string(*s.Header))
		}
		out = append(out, t)
	}
	return out
}

func denyReply(d *v1alpha1.DenyResponse, status int, code string) *table.Reply {
	r := &table.Reply{Status: status, Code: code, Body: deref(d.Body), ContentType: deref(d.ContentType)}
	if d.Status != nil {
		r.Status = int(*d.Status)
	}
	return r
}

func expressions(in []v1alpha1.Expression) (out []string) {
	for _, e := range in {
		out = append(out, string(e))
	}
	return out
}

func expression(e *v1alpha1.Expression) string { return string(deref(e)) }

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
