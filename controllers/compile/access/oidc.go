package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// What holds where a policy does not say.
const (
	defaultCallback = "/oauth2/callback"
	defaultAbsolute = 12 * time.Hour
	defaultIdle     = time.Hour
)

// oidc compiles an oidc method and notes the key set its tokens are verified
// with, which is that of jwt methods with the same issuer.
func (c *authCompiler) oidc(spec *v1alpha1.OIDCAuthentication, parts attach.Parts) (*table.OIDC, error) {
	if len(parts.Secrets) == 0 {
		return nil, fmt.Errorf("clientSecretRef: no Secret")
	}
	out := &table.OIDC{
		Issuer: spec.Issuer, ClientID: spec.ClientID, ClientSecret: parts.ClientSecret(), Scopes: []string{"openid"},
		Audiences: spec.Audiences, Leeway: defaultLeeway, UserInfo: spec.UserInfo,
		Paths: table.OIDCPaths{
			Callback: string(spec.RedirectPath), Logout: string(deref(spec.LogoutPath)), AfterLogout: deref(spec.PostLogoutRedirect),
			Backchannel: string(deref(spec.BackchannelLogoutPath)), EndSession: spec.EndSession == nil || *spec.EndSession,
		},
	}
	if out.Paths.Callback == "" {
		out.Paths.Callback = defaultCallback
	}
	for _, s := range spec.Scopes {
		if s != "openid" {
			out.Scopes = append(out.Scopes, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spec.AuthorizationParameters)) {
		out.Parameters = append(out.Parameters, table.Header{Name: name, Value: spec.AuthorizationParameters[name]})
	}
	var err error
	if out.Session, err = oidcSession(spec.Session, parts); err != nil {
		return nil, err
	}
	if f := spec.ForwardAccessToken; f != nil {
		out.Forward = forwardedToken(f)
	}
	set := &table.KeySet{ID: policy.DiscoveredKeys(spec.Issuer), Discovery: spec.Issuer}
	out.KeySet = set.ID
	c.out.keySets = append(c.out.keySets, set)
	return out, nil
}

func oidcSession(spec *v1alpha1.OIDCSession, parts attach.Parts) (out table.OIDCSession, err error) {
	out.Absolute, out.Idle = defaultAbsolute, defaultIdle
	if spec == nil {
		return out, nil
	}
	out.Cookie = deref(spec.CookieName)
	for _, d := range []struct {
		from *gatewayv1.Duration
		to   *time.Duration
	}{{spec.AbsoluteTimeout, &out.Absolute}, {spec.IdleTimeout, &out.Idle}} {
		if d.from != nil {
			if *d.to, err = time.ParseDuration(string(*d.from)); err != nil {
				return out, fmt.Errorf("session: %w", err)
			}
		}
	}
	if spec.Store != nil {
		id, url, ca := parts.Redis()
		if id == "" {
			return out, fmt.Errorf("session.store.redis.secretRef: no Secret")
		}
		out.Redis = &table.Redis{ID: id, URL: url, CA: ca}
	}
	return out, nil
}

func forwardedToken(spec *v1alpha1.ForwardedToken) *table.TokenHeader {
	out := &table.TokenHeader{Name: strings.ToLower(string(spec.Header)), Scheme: deref(spec.Scheme)}
	if out.Name == "" {
		out.Name = "authorization"
	}
	if out.Name == "authorization" && out.Scheme == "" {
		out.Scheme = "Bearer"
	}
	return out
}
