package table

import (
	"fmt"
	"strings"
	"time"
)

// MetadataStep fetches facts once it is known who calls: JSON, which expressions
// see as metadata.Name. Exactly one of HTTP and UserInfo is set, unless
// Unavailable is.
type MetadataStep struct {
	Name        string        `json:"name"`
	Source      int           `json:"source"`
	When        []string      `json:"when,omitempty"` // CEL; false: the step is not taken
	HTTP        *MetadataHTTP `json:"http,omitempty"`
	UserInfo    *UserInfo     `json:"userInfo,omitempty"`
	Timeout     time.Duration `json:"timeout"`               // of one question
	TTL         time.Duration `json:"ttl"`                   // an answer is good for so long
	Spare       time.Duration `json:"spare,omitempty"`       // after that it is used while there is no other
	Optional    bool          `json:"optional,omitempty"`    // without an answer the request goes on
	Unavailable string        `json:"unavailable,omitempty"` // why nothing can be fetched now (a missing Service)
}

// MetadataHTTP is a question to a service. Exactly one of Backend and URL is set.
type MetadataHTTP struct {
	Backend string            `json:"backend,omitempty"` // Backend.ID
	URL     string            `json:"url,omitempty"`     // http or https; its path goes before Path
	Post    bool              `json:"post,omitempty"`    // false: GET
	Path    string            `json:"path,omitempty"`    // CEL: a path, or a list of segments; empty: none
	Query   []ClaimExpr       `json:"query,omitempty"`   // by name
	Headers []HeaderExpr      `json:"headers,omitempty"` // by name
	Secret  *StaticCredential `json:"secret,omitempty"`  // of the gateway's own
	Into    TokenHeader       `json:"into,omitzero"`     // where Secret goes
	Body    string            `json:"body,omitempty"`    // CEL: what a POST sends as JSON
	Key     string            `json:"key,omitempty"`     // CEL: what an answer is kept by; empty: all of the above
}

// UserInfo asks an OpenID provider about the caller with the caller's own access
// token. Exactly one of Issuer and URL is set.
type UserInfo struct {
	Issuer string `json:"issuer,omitempty"` // whose metadata names the endpoint
	URL    string `json:"url,omitempty"`
}

// Service names who is asked, for people and metrics: the backend's ID, or a host.
func (m *MetadataStep) Service() string {
	switch {
	case m.HTTP != nil && m.HTTP.Backend != "":
		return m.HTTP.Backend
	case m.HTTP != nil:
		return hostOf(m.HTTP.URL)
	case m.UserInfo != nil:
		return hostOf(m.UserInfo.Issuer + m.UserInfo.URL)
	}
	return "unavailable"
}

// String prints "http(GET shop/accounts:80 path cel(['accounts', auth.subject]) ttl 1m0s spare 5m0s timeout 1s)".
func (m *MetadataStep) String() string {
	var out []string
	kind := "userInfo("
	switch {
	case m.Unavailable != "":
		out, kind = []string{m.Unavailable}, "unavailable("
	case m.HTTP != nil:
		out, kind = m.HTTP.parts(), "http("
	case m.UserInfo != nil && m.UserInfo.Issuer != "":
		out = []string{"issuer " + m.UserInfo.Issuer}
	case m.UserInfo != nil:
		out = []string{m.UserInfo.URL}
	}
	if m.Unavailable == "" {
		out = append(out, "ttl "+m.TTL.String())
		if m.Spare > 0 {
			out = append(out, "spare "+m.Spare.String())
		}
		out = append(out, "timeout "+m.Timeout.String())
	}
	text := kind + strings.Join(out, " ") + ")"
	if m.Optional {
		text += " optional"
	}
	return text
}

func (h *MetadataHTTP) parts() []string {
	out := []string{"GET", h.Backend + h.URL}
	if h.Post {
		out[0] = "POST"
	}
	cel := func(what, text string) {
		if text != "" {
			out = append(out, what+" cel("+text+")")
		}
	}
	cel("path", h.Path)
	for _, q := range h.Query {
		cel("query "+q.Name, q.CEL)
	}
	for _, f := range h.Headers {
		if cel("header "+f.Name, f.CEL); f.CEL == "" {
			out = append(out, fmt.Sprintf("header %s=%s", f.Name, word(f.Value)))
		}
	}
	if h.Secret != nil {
		out = append(out, "Secret "+h.Secret.ID+" in "+CredentialSource{Header: h.Into.Name, Scheme: h.Into.Scheme}.String())
	}
	cel("body", h.Body)
	cel("by", h.Key)
	return out
}
