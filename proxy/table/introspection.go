package table

import (
	"cmp"
	"strings"
	"time"
)

// Introspection asks an authorization server whether a token counts (RFC 7662).
// At most one of Backend and URL is set; without either the endpoint is what the
// metadata of Issuer says.
type Introspection struct {
	Issuer       string        `json:"issuer,omitempty"`  // an answer that names another is refused
	Backend      string        `json:"backend,omitempty"` // Backend.ID
	Path         string        `json:"path,omitempty"`    // with Backend
	URL          string        `json:"url,omitempty"`     // http or https
	ClientID     string        `json:"clientID"`
	ClientSecret Secret        `json:"-"`
	Post         bool          `json:"post,omitempty"`       // the credentials go into the content; false: into Authorization
	Audiences    []string      `json:"audiences,omitempty"`  // one of them must be in aud; empty: not checked
	TokenTypes   []string      `json:"tokenTypes,omitempty"` // one of them must be the token_type; empty: Bearer, or none told
	Timeout      time.Duration `json:"timeout"`              // of one question
	TTL          time.Duration `json:"ttl"`                  // an answer that a token is active is good for so long, or until exp
	Spare        time.Duration `json:"spare,omitempty"`      // after that it is used while the server gives no answer, and until exp at most
}

// Service names the server, for people and metrics: the backend's ID, or the
// host of URL or Issuer.
func (i *Introspection) Service() string {
	if i.Backend != "" {
		return i.Backend
	}
	return hostOf(cmp.Or(i.URL, i.Issuer))
}

// String prints "discovery issuer https://issuer.example client shop aud=orders ttl 1m0s
// spare 5m0s timeout 2s".
func (i *Introspection) String() string {
	out := []string{}
	switch {
	case i.Backend != "":
		out = append(out, i.Backend+i.Path)
	case i.URL != "":
		out = append(out, i.URL)
	default:
		out = append(out, "discovery")
	}
	if i.Issuer != "" {
		out = append(out, "issuer "+i.Issuer)
	}
	out = append(out, "client "+i.ClientID)
	if i.Post {
		out = append(out, "by post")
	}
	if len(i.Audiences) > 0 {
		out = append(out, "aud="+strings.Join(i.Audiences, ","))
	}
	if len(i.TokenTypes) > 0 {
		out = append(out, "type="+strings.Join(i.TokenTypes, ","))
	}
	out = append(out, "ttl "+i.TTL.String())
	if i.Spare > 0 {
		out = append(out, "spare "+i.Spare.String())
	}
	return strings.Join(append(out, "timeout "+i.Timeout.String()), " ")
}
