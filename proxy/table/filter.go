package table

// Filter is one step of a route's filter list. Exactly one field is set.
type Filter struct {
	RequestHeaders  *HeaderEdit `json:"requestHeaders,omitempty"`
	ResponseHeaders *HeaderEdit `json:"responseHeaders,omitempty"`
	Redirect        *Redirect   `json:"redirect,omitempty"`
	Rewrite         *Rewrite    `json:"rewrite,omitempty"`
	CORS            *CORS       `json:"cors,omitempty"`
	Mirror          *Mirror     `json:"mirror,omitempty"`

	ExternalAuth *ExternalAuth `json:"externalAuth,omitempty"`
}

// HeaderEdit changes header fields: Set, then Add, then Remove.
type HeaderEdit struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Header is one header field.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PathEdit changes a path. Exactly one of the two is set.
type PathEdit struct {
	Full   *string `json:"full,omitempty"`   // replaces the whole path
	Prefix *string `json:"prefix,omitempty"` // replaces Matched, the prefix the rule matched
	// Matched is the prefix that Prefix replaces; "/" when the rule matched anything.
	Matched string `json:"matched,omitempty"`
}

// Redirect answers the request with a Location (GEP-726). Empty fields keep
// what the request had.
type Redirect struct {
	Scheme   string    `json:"scheme,omitempty"`
	Hostname string    `json:"hostname,omitempty"`
	Path     *PathEdit `json:"path,omitempty"`
	Port     uint16    `json:"port,omitempty"` // 0: the scheme's default if Scheme is set, else the listener's
	Status   int       `json:"status"`
}

// Rewrite changes what is forwarded (GEP-726).
type Rewrite struct {
	Hostname string    `json:"hostname,omitempty"`
	Path     *PathEdit `json:"path,omitempty"`
}

// CORS answers preflights and marks answers for other origins (GEP-1767).
type CORS struct {
	Origins       []string `json:"origins,omitempty"` // "https://a.example.com", "https://*.example.com" or "*"
	Methods       []string `json:"methods,omitempty"` // or "*"
	Headers       []string `json:"headers,omitempty"` // or "*"
	ExposeHeaders []string `json:"exposeHeaders,omitempty"`
	Credentials   bool     `json:"credentials,omitempty"`
	MaxAge        int32    `json:"maxAge,omitempty"` // seconds
}

// Mirror sends a copy of a share of the requests to another backend and drops
// its answers (GEP-3171).
type Mirror struct {
	Backend     string `json:"backend"` // Backend.ID
	Numerator   int32  `json:"numerator"`
	Denominator int32  `json:"denominator"` // never 0
}
