package attach

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// oidc checks a login and finds its Secrets: the client's, then that of the
// session store if there is one.
func (d *draft) oidc(item, field string, o *v1alpha1.OIDCAuthentication) {
	d.url(field+".issuer", o.Issuer, "the provider's metadata is fetched from it")
	paths := map[string]string{}
	for _, p := range []struct {
		name string
		path v1alpha1.HTTPPath
	}{{"redirectPath", o.RedirectPath}, {"logoutPath", deref(o.LogoutPath)}, {"backchannelLogoutPath", deref(o.BackchannelLogoutPath)}} {
		switch other, taken := paths[string(p.path)]; {
		case p.path == "":
		case p.path[0] != '/' || strings.ContainsAny(string(p.path), "?#\\ "):
			d.bad(field+"."+p.name, "%q is not a path that begins with /", string(p.path))
		case taken:
			d.bad(field+"."+p.name, "%q is %s too; the two must differ", string(p.path), other)
		}
		paths[string(p.path)] = p.name
	}
	if s := o.Session; s != nil {
		d.lifetime(field+".session.absoluteTimeout", s.AbsoluteTimeout)
		d.lifetime(field+".session.idleTimeout", s.IdleTimeout)
	}
	d.resolved[item] = d.oidcSecrets(o)
}

func (d *draft) lifetime(field string, text *gatewayv1.Duration) {
	if text == nil {
		return
	}
	if v, err := time.ParseDuration(string(*text)); err != nil || v < time.Second || v > 720*time.Hour {
		d.bad(field, "%q is not a duration of 1s to 720h", string(*text))
	}
}

func (d *draft) oidcSecrets(o *v1alpha1.OIDCAuthentication) Parts {
	parts := d.secret(o.ClientSecretRef, v1alpha1.ClientSecretKey)
	if parts.Broken != "" || o.Session == nil || o.Session.Store == nil {
		return parts
	}
	store := d.secret(o.Session.Store.Redis.SecretRef, v1alpha1.RedisURLKey)
	if store.Broken != "" {
		return store
	}
	parts.Secrets = append(parts.Secrets, store.Secrets...)
	if d.checks.SessionStore == nil {
		return parts
	}
	s := parts.Secrets[1]
	if err := d.checks.SessionStore(s.Data[v1alpha1.RedisURLKey], s.Data[v1alpha1.RedisCAKey]); err != nil {
		return Parts{Broken: fmt.Sprintf("Secret %s/%s: %v", s.Namespace, s.Name, err)}
	}
	return parts
}

// trimmed is a Secret's value without the line end that editors leave.
func trimmed(s *corev1.Secret, key string) []byte {
	return []byte(strings.TrimRight(string(s.Data[key]), "\r\n"))
}

// ClientID is the client's name of an introspection method's parts.
func (p *Parts) ClientID() string { return string(trimmed(p.Secrets[0], v1alpha1.ClientIDKey)) }

// ClientSecret is the client secret of an oidc or introspection method's parts.
func (p *Parts) ClientSecret() []byte { return trimmed(p.Secrets[0], v1alpha1.ClientSecretKey) }

// Redis is the session store of an oidc method's parts; nil if it has none.
func (p *Parts) Redis() (id string, url, ca []byte) {
	if len(p.Secrets) < 2 {
		return "", nil, nil
	}
	s := p.Secrets[1]
	return s.Namespace + "/" + s.Name, trimmed(s, v1alpha1.RedisURLKey), s.Data[v1alpha1.RedisCAKey]
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
