package table

import "time"

// Stream is where the connections of a TLS, TCP or UDP listener go.
type Stream struct {
	Route     string            `json:"route"`               // "TLSRoute shop/db"
	Hosts     []string          `json:"hosts,omitempty"`     // TLS: server names, "*.example.com" or "*"; empty for any
	Terminate bool              `json:"terminate,omitempty"` // TLS ends here; else it passes through
	Backends  []WeightedBackend `json:"backends"`            // one with a Reply takes its share and closes it
}

// ClientCAs is how client certificates are checked (GEP-91).
type ClientCAs struct {
	CAs      []byte `json:"cas"`                // PEM
	Insecure bool   `json:"insecure,omitempty"` // a certificate that is missing or wrong is let in, and not believed
}

// BackendTLS is how a backend is reached over TLS (BackendTLSPolicy, GEP-1897).
type BackendTLS struct {
	ServerName string       `json:"serverName"`       // sent as SNI, and checked unless SANs are given
	CAs        []byte       `json:"cas,omitempty"`    // PEM; empty for the system's
	SANs       []SubjectAlt `json:"sans,omitempty"`   // one of them must be in the certificate
	Client     *Certificate `json:"client,omitempty"` // shown to the backend (GEP-3155)
}

// SubjectAlt is a subject alternative name. Exactly one field is set.
type SubjectAlt struct {
	Hostname string `json:"hostname,omitempty"`
	URI      string `json:"uri,omitempty"`
}

// Retry says which tries are repeated (GEP-1731).
type Retry struct {
	Attempts int           `json:"attempts"` // beyond the first
	Codes    []int         `json:"codes,omitempty"`
	Backoff  time.Duration `json:"backoff,omitempty"` // least wait before each
}

// RetryBudget bounds the tries of a backend beyond the first of each request, of
// all routes together (XBackendTrafficPolicy, GEP-3388). They may be Percent of all
// tries within Interval, and no fewer than Least within LeastInterval.
type RetryBudget struct {
	ID            string        `json:"id"` // namespace/service: backends of one ID share one budget
	Percent       int           `json:"percent"`
	Interval      time.Duration `json:"interval"`
	Least         int           `json:"least"`
	LeastInterval time.Duration `json:"leastInterval"`
}

// Session keeps a caller at the endpoint it met first (GEP-1619), by a token that
// the caller sends back. Exactly one of Cookie and Header is set.
type Session struct {
	Cookie    string        `json:"cookie,omitempty"`    // name
	Path      string        `json:"path,omitempty"`      // of the cookie; empty: none
	Permanent bool          `json:"permanent,omitempty"` // the cookie outlives the browser, for Lifetime
	Header    string        `json:"header,omitempty"`    // name, of requests and answers
	Lifetime  time.Duration `json:"lifetime,omitempty"`  // from the answer that begins the session; 0: no end
}
