package table

import "time"

// ExternalAuth asks a service whether a request may pass: by the ext_authz
// protocol of Envoy (envoy.service.auth.v3.Authorization/Check), or by a plain
// HTTP request with the caller's method, host, path and some of its fields, which
// 200 allows. Exactly one of Backend and URL is set. A service that does not
// answer, or answers what cannot be understood, lets nobody pass.
type ExternalAuth struct {
	Backend   string        `json:"backend,omitempty"`   // Backend.ID
	URL       string        `json:"url,omitempty"`       // http or https; its path goes before Path
	GRPC      bool          `json:"grpc,omitempty"`      //
	Path      string        `json:"path,omitempty"`      // HTTP: put before the request's path
	Headers   []string      `json:"headers,omitempty"`   // of the caller's fields, what the service sees; lower case, "*" for all
	Forwarded bool          `json:"forwarded,omitempty"` // HTTP: X-Forwarded-For, -Method, -Proto, -Host and -Uri are sent
	Context   []Header      `json:"context,omitempty"`   // gRPC: context_extensions
	MaxBody   int64         `json:"maxBody,omitempty"`   // bytes of content sent to the service; 0: none
	Partial   bool          `json:"partial,omitempty"`   // of more content the beginning is sent; false: it is refused with 413
	ToBackend []string      `json:"toBackend,omitempty"` // HTTP: fields of an allowing answer set on the request; lower case, "*" for all
	ToClient  []string      `json:"toClient,omitempty"`  // HTTP: fields of a refusing answer given to the caller; lower case, "*" for all
	Timeout   time.Duration `json:"timeout"`             //
	Status    int           `json:"status,omitempty"`    // of the answer when the service gives none; 0: 503
	Cache     *AuthCache    `json:"cache,omitempty"`     // nil: every request is asked about
}

// Service names the service, for people and metrics: the backend's ID, or the
// URL's host.
func (e *ExternalAuth) Service() string {
	if e.Backend != "" {
		return e.Backend
	}
	return hostOf(e.URL)
}

// AuthCache says how long an answer of a service is good, and for which
// requests. Exactly one of Key and Headers is set.
type AuthCache struct {
	Key     string        `json:"key,omitempty"`     // CEL, a string; requests without one are always asked about
	Headers []string      `json:"headers,omitempty"` // requests with equal method, host, path, query and values of these are alike; lower case
	Policy  string        `json:"policy,omitempty"`  // with Key: whose answers they are, for what another's callers are called may be the same
	TTL     time.Duration `json:"ttl"`
}
