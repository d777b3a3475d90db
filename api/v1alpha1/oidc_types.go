package v1alpha1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// ClientSecretKey is the key of a Secret under which OIDCAuthentication looks for the client secret.
const ClientSecretKey = "client-secret"

// RedisURLKey and RedisCAKey are the keys of a Secret that say where a Redis is, and which certificate authority vouches for it.
const (
	RedisURLKey = "url"
	RedisCAKey  = "ca.crt"
)

// OIDCAuthentication logs people in with an OpenID provider, and keeps their sessions. Browsers are redirected; other callers get 401.
//
// +kubebuilder:validation:XValidation:rule=`[self.redirectPath, has(self.logoutPath) ? self.logoutPath : "", has(self.backchannelLogoutPath) ? self.backchannelLogoutPath : ""].all(p, p == "" || [self.redirectPath, has(self.logoutPath) ? self.logoutPath : "", has(self.backchannelLogoutPath) ? self.backchannelLogoutPath : ""].exists_one(q, q == p))`,message="redirectPath, logoutPath and backchannelLogoutPath must differ"
// +kubebuilder:validation:XValidation:rule="!has(self.postLogoutRedirect) || has(self.logoutPath)",message="postLogoutRedirect goes with logoutPath; set that too"
type OIDCAuthentication struct {
	// issuer is the provider: what its ID tokens name as iss, and where its metadata is found
	// (issuer + /.well-known/openid-configuration).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="not an absolute http or https URL"
	Issuer string `json:"issuer"`

	// clientID by which the provider knows this gateway.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientID"`

	// clientSecretRef names the Secret whose key client-secret holds the client secret.
	//
	// +required
	ClientSecretRef SecretReference `json:"clientSecretRef"`

	// scopes asked for. openid always is; offline_access gets a refresh token from many providers.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5b\x5d-\x7e]+$`
	Scopes []string `json:"scopes,omitempty"`

	// audiences that an ID token may name beside clientID, if it does not say by azp that it was issued to clientID.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences,omitempty"`

	// authorizationParameters are added to the request to the provider: audience, prompt, acr_values and the like.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Za-z0-9_.-]{1,64}$') && size(self[name]) <= 1024)",message="a parameter has a name of 1 to 64 letters, digits, '_', '.' and '-', and a value of at most 1024 characters"
	// +kubebuilder:validation:XValidation:rule="!self.exists(name, name in ['response_type', 'response_mode', 'client_id', 'client_secret', 'redirect_uri', 'scope', 'state', 'nonce', 'code_challenge', 'code_challenge_method', 'request', 'request_uri'])",message="the login itself sets this parameter; remove it"
	AuthorizationParameters map[string]string `json:"authorizationParameters,omitempty"`

	// userInfo asks the provider's userinfo endpoint at each login and refresh, for claims that the ID token lacks. Default: false.
	//
	// +optional
	UserInfo bool `json:"userInfo,omitempty"`

	// redirectPath is the path of the redirect URI that is registered with the provider, on every host the policy guards. The method answers it
	// itself: no route needs to take it.
	//
	// +optional
	// +kubebuilder:default=/oauth2/callback
	RedirectPath HTTPPath `json:"redirectPath,omitempty"`

	// logoutPath ends the caller's session, and with ?all=true all sessions of the user. Default: there is none.
	//
	// +optional
	LogoutPath *HTTPPath `json:"logoutPath,omitempty"`

	// postLogoutRedirect is where a logout leads: an absolute URL, or a path on the same host. Default: a page that says so.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^/([^/\\\\\\\\].*)?$') || (isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '')",message="not an absolute http or https URL, nor a path that begins with one /"
	PostLogoutRedirect *string `json:"postLogoutRedirect,omitempty"`

	// endSession says whether a logout ends the session at the provider too (OpenID Connect RP-Initiated Logout). Default: true, where the provider can.
	//
	// +optional
	// +kubebuilder:default=true
	EndSession *bool `json:"endSession,omitempty"`

	// backchannelLogoutPath takes logout tokens, by which the provider ends sessions (OpenID Connect Back-Channel Logout). Default: there is none.
	//
	// +optional
	BackchannelLogoutPath *HTTPPath `json:"backchannelLogoutPath,omitempty"`

	// session says how long a login lasts and where it is kept.
	//
	// +optional
	Session *OIDCSession `json:"session,omitempty"`

	// forwardAccessToken hands the backend the caller's access token. Default: it gets none.
	//
	// +optional
	ForwardAccessToken *ForwardedToken `json:"forwardAccessToken,omitempty"`
}

// HTTPPath is an absolute path, as a request has it.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9._~!$&'()*+,;=:@-]+(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*$`
// +kubebuilder:validation:XValidation:rule="!self.contains('/./') && !self.contains('/../') && !self.endsWith('/.') && !self.endsWith('/..')",message="the path has . or .. in it; write where it leads"
type HTTPPath string

// OIDCSession says how long a login lasts and where it is kept.
type OIDCSession struct {
	// absoluteTimeout after which a user logs in again, whatever they do. Default: 12h.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="absoluteTimeout is 1s to 720h"
	AbsoluteTimeout *gatewayv1.Duration `json:"absoluteTimeout,omitempty"`

	// idleTimeout after which a user who did nothing logs in again. Default: 1h.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="idleTimeout is 1s to 720h"
	IdleTimeout *gatewayv1.Duration `json:"idleTimeout,omitempty"`

	// cookieName of the session. Over TLS it is prefixed with __Host-. Default: a name made of issuer and clientID, so that policies with the same client
	// share the session.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().startsWith('__')",message="the prefix __Host- is set where it can be; leave it out"
	CookieName *string `json:"cookieName,omitempty"`

	// store of sessions. Default: the memory of the process, which is lost when it ends and which replicas do not share.
	//
	// +optional
	Store *OIDCSessionStore `json:"store,omitempty"`
}

// OIDCSessionStore is where sessions are kept.
type OIDCSessionStore struct {
	// redis is a Redis (6.2 or later) or Valkey server that all replicas use.
	//
	// +required
	Redis RedisStore `json:"redis"`
}

// RedisStore says where a Redis or Valkey server is.
type RedisStore struct {
	// secretRef names the Secret whose key url holds redis://user:password@host:6379/0, or rediss:// for TLS; its key
	// ca.crt, if there, vouches for the server's certificate.
	//
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// ForwardedToken is the header in which the backend gets a token.
//
// +kubebuilder:validation:XValidation:rule="!(self.header.lowerAscii() in ['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'proxy-connection', 'cookie'])",message="the gateway itself sets this header; choose another name"
type ForwardedToken struct {
	// header of the request to the backend. What the caller sends under its name is removed.
	//
	// +optional
	// +kubebuilder:default=Authorization
	Header gatewayv1.HeaderName `json:"header,omitempty"`

	// scheme before the token. Default: Bearer for the header Authorization, none for another.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._~+/-]+$`
	Scheme *string `json:"scheme,omitempty"`
}
