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

// Session keeps a caller at the endpoint it met first (GEP-1619). Exactly one of
// Cookie and Header is set.
type Session struct {
	Cookie   string        `json:"cookie,omitempty"`
	Header   string        `json:"header,omitempty"`
	Lifetime time.Duration `json:"lifetime,omitempty"` // of a persistent cookie; 0: until the browser closes
}
