package table

// Validation is the effective request-format policy of an Action: all policies
// on its path, merged (GEP-713). Every check that applies must pass.
type Validation struct {
	Closed  *Reply   `json:"closed,omitempty"` // set: a policy is broken, answer this to everyone
	Sources []Source `json:"sources,omitempty"`
	Checks  []Check  `json:"checks,omitempty"` // by name
}

// Check is what requests of some methods must look like.
type Check struct {
	Name         string   `json:"name"`
	Source       int      `json:"source"`
	Methods      []string `json:"methods,omitempty"`      // empty for all
	MaxBodyBytes int64    `json:"maxBodyBytes,omitempty"` // 0: the gateway's own limit alone
	ContentTypes []string `json:"contentTypes,omitempty"` // media types, "application/*" allowed; empty for any
	Headers      []Param  `json:"headers,omitempty"`
	Query        []Param  `json:"query,omitempty"`
	Schema       *Schema  `json:"schema,omitempty"` // for JSON bodies
}

// Param is one header field or query parameter a request must or may have.
type Param struct {
	Name     string   `json:"name"`
	Required bool     `json:"required,omitempty"`
	Type     string   `json:"type,omitempty"`    // string (default), integer, number, boolean
	Pattern  string   `json:"pattern,omitempty"` // RE2; must match the whole value
	Enum     []string `json:"enum,omitempty"`
	Minimum  *float64 `json:"minimum,omitempty"`
	Maximum  *float64 `json:"maximum,omitempty"`
}

// Schema is a JSON Schema, draft 2020-12.
type Schema struct {
	ID       string `json:"id"` // where it came from: "ValidationPolicy shop/orders check body" or "ConfigMap shop/schemas order.json"
	Document []byte `json:"document"`
}
