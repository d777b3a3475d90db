package table

import "time"

// BackendCredential is what the gateway says of itself to a backend, in a header
// field: whatever the caller sent there is gone. Exactly one of Static, Minted and
// Grant is set, unless Unavailable is.
type BackendCredential struct {
	Name        string            `json:"name"`
	Source      int               `json:"source"`
	When        []string          `json:"when,omitempty"` // CEL; false: the field is left out
	Into        TokenHeader       `json:"into"`
	Static      *StaticCredential `json:"static,omitempty"`
	Minted      *MintedToken      `json:"minted,omitempty"`
	Grant       *TokenGrant       `json:"grant,omitempty"`
	Unavailable string            `json:"unavailable,omitempty"` // why there is none now (a missing Secret): 503
}

// StaticCredential is a value that does not depend on the request.
type StaticCredential struct {
	ID    string `json:"id"` // namespace/secret key
	Value Secret `json:"-"`
}

// MintedToken is a JWT that the gateway signs (RFC 7519), with ES256 and the keys
// its replicas share.
type MintedToken struct {
	Issuer    string        `json:"issuer"`
	Audiences []string      `json:"audiences"`
	TTL       time.Duration `json:"ttl"`               // of each token
	Subject   string        `json:"subject,omitempty"` // CEL; empty: the caller's
	Claims    []ClaimExpr   `json:"claims,omitempty"`  // by name
}

// ClaimExpr is a claim's value, computed.
type ClaimExpr struct {
	Name string `json:"name"`
	CEL  string `json:"cel"` // null: the claim is left out
}

// TokenGrant gets access tokens from a token endpoint: for the gateway itself
// (client credentials, RFC 6749, section 4.4), or in exchange for the caller's
// token (RFC 8693).
type TokenGrant struct {
	URL          string        `json:"url"` // of the token endpoint
	ClientID     string        `json:"clientID"`
	ClientSecret Secret        `json:"-"`
	Post         bool          `json:"post,omitempty"` // client id and secret stand in the form; false: in Authorization
	Scopes       []string      `json:"scopes,omitempty"`
	Audiences    []string      `json:"audiences,omitempty"` // audience
	Resources    []string      `json:"resources,omitempty"` // resource (RFC 8707)
	Exchange     *Exchange     `json:"exchange,omitempty"`  // nil: client credentials
	Timeout      time.Duration `json:"timeout"`             // of one call
}

// Exchange says which kinds of tokens are exchanged (RFC 8693, section 3).
type Exchange struct {
	Subject   string `json:"subject"`             // the type of the caller's token, a URI
	Requested string `json:"requested,omitempty"` // the type of the backend's; empty: the server's choice
}
