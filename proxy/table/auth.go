package table

import (
	"net/netip"
	"time"
)

// Source is a policy object that supplied part of an effective policy. Parts
// name their source by its index in the Sources list beside them.
type Source struct {
	Policy string   `json:"policy"`         // "AuthPolicy shop/orders"
	When   []string `json:"when,omitempty"` // CEL; all must be true, else nothing this source supplied applies
}

// Auth is the effective authentication and authorization of an Action: all
// policies on its path, merged (GEP-713).
type Auth struct {
	Closed             *Reply              `json:"closed,omitempty"` // set: a policy is broken, answer this to everyone
	Sources            []Source            `json:"sources,omitempty"`
	Public             *Public             `json:"public,omitempty"`      // set: until it expires nobody is asked who they are
	Methods            []AuthMethod        `json:"methods,omitempty"`     // by name
	Require            string              `json:"require,omitempty"`     // over method names, see ParseRequire; empty: any of them
	Metadata           []MetadataStep      `json:"metadata,omitempty"`    // by name; taken once it is known who calls
	Rules              []AuthRule          `json:"rules,omitempty"`       // by name; all that apply must allow
	Headers            []HeaderExpr        `json:"headers,omitempty"`     // set on the forwarded request
	Credentials        []BackendCredential `json:"credentials,omitempty"` // by name; the same, and last
	Unauthenticated    *Reply              `json:"unauthenticated,omitempty"`
	Denied             *Reply              `json:"denied,omitempty"`
	ForwardCredentials bool                `json:"forwardCredentials,omitempty"` // false: credentials are removed before forwarding
}

// Conditional reports whether what a source supplied applies to some requests only.
func (a *Auth) Conditional(source int) bool {
	return source < len(a.Sources) && len(a.Sources[source].When) > 0
}

// Public is an exception from authentication. Once it has expired the methods
// count, and without any nobody may pass.
type Public struct {
	Source  int    `json:"source"`
	Reason  string `json:"reason"`
	Expires int64  `json:"expires,omitempty"` // Unix seconds; 0: never
}

// AuthMethod is one way to say who is calling. Exactly one of JWT, APIKeys,
// Basic, ClientCertificate, OIDC, Introspection, Kubernetes, HMAC and Anonymous is set, unless
// Unavailable is.
type AuthMethod struct {
	Name              string             `json:"name"`
	Source            int                `json:"source"`
	When              []string           `json:"when,omitempty"` // CEL; false: the method accepts nobody
	From              []CredentialSource `json:"from,omitempty"` // tried in order
	JWT               *JWT               `json:"jwt,omitempty"`
	APIKeys           *APIKeys           `json:"apiKeys,omitempty"`
	Basic             *Basic             `json:"basic,omitempty"`
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
	OIDC              *OIDC              `json:"oidc,omitempty"`
	Introspection     *Introspection     `json:"introspection,omitempty"`
	HMAC              *HMAC              `json:"hmac,omitempty"`
	Kubernetes        *TokenReview       `json:"kubernetes,omitempty"`
	Anonymous         bool               `json:"anonymous,omitempty"`
	Unavailable       string             `json:"unavailable,omitempty"` // why it cannot decide now (a missing Secret): 503, never 401
}

// CredentialSource is a place in a request. Exactly one of Header, Cookie and
// Query is set.
type CredentialSource struct {
	Header string `json:"header,omitempty"`
	Scheme string `json:"scheme,omitempty"` // with Header: an authentication scheme such as Bearer, matched without case
	Cookie string `json:"cookie,omitempty"`
	Query  string `json:"query,omitempty"`
}

// JWT verifies signed tokens (RFC 7519, RFC 8725).
type JWT struct {
	Issuer     string        `json:"issuer"`
	Audiences  []string      `json:"audiences,omitempty"` // one of them must be in aud; empty: not checked
	Algorithms []string      `json:"algorithms"`          // never none; HS* only if written out
	Leeway     time.Duration `json:"leeway"`              // for exp, nbf and iat
	KeySet     string        `json:"keySet"`              // KeySet.ID
}

// KeySet is where verification keys come from. Exactly one of Inline, Shared, URI,
// Discovery and Backend is set. Key sets with one ID are one key set, fetched once and kept
// across tables.
type KeySet struct {
	ID        string `json:"id"`
	Inline    []byte `json:"inline,omitempty"`    // a JWK set (RFC 7517)
	URI       string `json:"uri,omitempty"`       // of a JWK set
	Discovery string `json:"discovery,omitempty"` // an issuer; jwks_uri comes from its metadata (OIDC discovery, RFC 8414)

	Backend string `json:"backend,omitempty"` // a Backend.ID, which has a JWK set at Path
	Path    string `json:"path,omitempty"`    //

	Shared []SharedKey `json:"shared,omitempty"` // secrets for HS* alone
}

// SharedKey is a secret that tokens are signed and verified with.
type SharedKey struct {
	ID     string `json:"id"` // kid
	Secret Secret `json:"-"`
}

// APIKeys accepts opaque keys by their hash.
type APIKeys struct {
	ID   string    `json:"id"` // what selected them: "shop gatehouse.dev/api-key=orders"
	Keys []*APIKey `json:"keys,omitempty"`
}

// APIKey is one key, which is known only by its SHA-256.
type APIKey struct {
	Secret    string            `json:"secret"` // namespace/name
	Hash      [32]byte          `json:"-"`      // not shown: a weak key could be guessed from it
	Subject   string            `json:"subject"`
	Scopes    []string          `json:"scopes,omitempty"`
	Plan      string            `json:"plan,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	NotBefore int64             `json:"notBefore,omitempty"` // Unix seconds; 0: none
	Expires   int64             `json:"expires,omitempty"`   // Unix seconds; 0: never
}

// Basic checks a user name and password (RFC 7617) against password hashes.
type Basic struct {
	ID    string      `json:"id"` // namespace/secret
	Realm string      `json:"realm,omitempty"`
	Users []BasicUser `json:"users,omitempty"`
}

// BasicUser is one htpasswd line.
type BasicUser struct {
	Name string `json:"name"`
	Hash Secret `json:"-"` // bcrypt, SHA-crypt, argon2id or {SHA}
}

// ClientCertificate accepts the caller's TLS client certificate, if the listener
// has verified it and it fits one of Match; without any, every one does.
type ClientCertificate struct {
	Match []CertificateMatch `json:"match,omitempty"`
}

// CertificateMatch describes certificates; all that is set must hold.
type CertificateMatch struct {
	SAN        *SAN   `json:"san,omitempty"`
	Subject    string `json:"subject,omitempty"`    // RFC 4514: "CN=orders,O=Shop"
	CommonName string `json:"commonName,omitempty"` // of the subject
	SPKI       string `json:"spki,omitempty"`       // SHA-256 of the public key, base64
}

// SAN is a subject alternative name (RFC 5280, section 4.2.1.6) or a pattern:
// "*.shop.example" of type DNS is any one label before the rest,
// "spiffe://shop.example/*" of type URI every path beneath it.
type SAN struct {
	Type  SANType `json:"type"`
	Value string  `json:"value"`
}

// SANType is a kind of subject alternative name.
type SANType string

// The kinds of subject alternative names.
const (
	SANDNS   SANType = "DNS"
	SANURI   SANType = "URI"
	SANEmail SANType = "Email"
	SANIP    SANType = "IP"
)

// AuthRule is one authorization rule. Exactly one of CEL, CIDRs, Claims,
// Kubernetes, OPA and External is set, unless Unavailable is.
type AuthRule struct {
	Name        string           `json:"name"`
	Source      int              `json:"source"`
	When        []string         `json:"when,omitempty"`   // CEL; false: the rule does not apply
	Shadow      bool             `json:"shadow,omitempty"` // it is asked, and refuses nobody
	CEL         string           `json:"cel,omitempty"`    // true allows; an error denies
	CIDRs       *CIDRs           `json:"cidrs,omitempty"`  //
	Claims      []ClaimCondition `json:"claims,omitempty"` // all must hold
	Kubernetes  *AccessReview    `json:"kubernetes,omitempty"`
	OPA         *OPA             `json:"opa,omitempty"`
	External    *ExternalAuth    `json:"external,omitempty"`
	Unavailable string           `json:"unavailable,omitempty"` // why it cannot decide now (a missing Service): 503
}

// CIDRs allows by client address. Deny wins; an empty Allow allows everyone.
type CIDRs struct {
	Allow []netip.Prefix `json:"allow,omitempty"`
	Deny  []netip.Prefix `json:"deny,omitempty"`
}

// ClaimCondition asks for values of one claim.
type ClaimCondition struct {
	Claim  string     `json:"claim"` // "sub", or nested "realm_access.roles"
	Match  ClaimMatch `json:"match,omitempty"`
	Values []string   `json:"values"`
}

// ClaimMatch says how many of the values the claim must have. A claim that is a
// list has each of its elements, scope each of its words.
type ClaimMatch string

// The ways to match. The zero value is Any.
const (
	ClaimAny  ClaimMatch = ""
	ClaimAll  ClaimMatch = "All"
	ClaimNone ClaimMatch = "None"
)

// HeaderExpr sets a header field of the forwarded request. Exactly one of CEL
// and Value is set.
type HeaderExpr struct {
	Name   string `json:"name"`
	Source int    `json:"source"`
	CEL    string `json:"cel,omitempty"`
	Value  string `json:"value,omitempty"`
}
