package table

import "time"

// OIDC logs people in with an OpenID provider: authorization code flow with
// PKCE, and sessions kept here (OpenID Connect Core 1.0, section 3.1).
type OIDC struct {
	Issuer       string        `json:"issuer"`
	ClientID     string        `json:"clientID"`
	ClientSecret Secret        `json:"-"`
	Scopes       []string      `json:"scopes"`               // openid among them
	Audiences    []string      `json:"audiences,omitempty"`  // an ID token may name beside ClientID
	Parameters   []Header      `json:"parameters,omitempty"` // added to the authorization request
	KeySet       string        `json:"keySet"`               // KeySet.ID; its Discovery is Issuer
	Leeway       time.Duration `json:"leeway"`               // for exp, nbf and iat
	Paths        OIDCPaths     `json:"paths"`
	Session      OIDCSession   `json:"session"`
	UserInfo     bool          `json:"userInfo,omitempty"`  // claims that the ID token lacks come from the provider's userinfo endpoint
	Forward      *TokenHeader  `json:"forward,omitempty"`   // nil: the backend gets no token
	Exchanged    bool          `json:"exchanged,omitempty"` // a BackendCredential or a MetadataStep needs the access token
}

// NeedsToken reports whether the caller's access token is handed to somebody.
func (o *OIDC) NeedsToken() bool { return o.Forward != nil || o.Exchanged }

// OIDCPaths are the paths that the method answers itself, on every host it
// guards, and where logging out leads.
type OIDCPaths struct {
	Callback    string `json:"callback"`              // the redirect URI's path
	Logout      string `json:"logout,omitempty"`      // empty: none
	Backchannel string `json:"backchannel,omitempty"` // takes logout tokens (OpenID Connect Back-Channel Logout 1.0); empty: none
	AfterLogout string `json:"afterLogout,omitempty"` // URL or path; empty: a page that says so
	EndSession  bool   `json:"endSession,omitempty"`  // logging out ends the session at the provider too (RP-Initiated Logout 1.0)
}

// OIDCSession is how long a login lasts and where it is kept.
type OIDCSession struct {
	Cookie   string        `json:"cookie"`          // name, without the prefix __Host- that it gets over TLS
	Absolute time.Duration `json:"absolute"`        // from login
	Idle     time.Duration `json:"idle"`            // from the last request
	Redis    *Redis        `json:"redis,omitempty"` // nil: in this process's memory
}

// Redis is a Redis or Valkey server.
type Redis struct {
	ID  string `json:"id"` // namespace/secret
	URL Secret `json:"-"`  // redis://user:password@host:port/db, rediss:// for TLS
	CA  []byte `json:"ca,omitempty"`
}

// TokenHeader is the request header field in which a backend or another service gets
// a token: the caller's, or one of the gateway's own.
type TokenHeader struct {
	Name   string `json:"name"`             // lower case
	Scheme string `json:"scheme,omitempty"` // before the token, with a space
}

// Each calls f with the paths that are answered by the method itself.
func (p OIDCPaths) Each(f func(path string)) {
	for _, path := range []string{p.Callback, p.Logout, p.Backchannel} {
		if path != "" {
			f(path)
		}
	}
}
