package oidc

import (
	"bytes"
	"net/url"
	"slices"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// Answers implements auth.Interactive.
func (m *Method) Answers(path string) bool {
	p := &m.config.Paths
	return path == p.Callback || path != "" && (path == p.Logout || path == p.Backchannel)
}

// Addressed implements auth.Interactive. A login is whose client sealed its state,
// and among policies of one client that which began it; a logout whose session the
// browser has; a logout token that of the client it is for.
func (m *Method) Addressed(x *exchange.Exchange) auth.Certainty {
	switch p := &m.config.Paths; x.Request.Path {
	case p.Callback:
		state, _ := x.Query("state")
		switch l, ok := m.openState(state); {
		case !ok:
		case bytes.Equal(l.id[:len(m.mark)], m.mark[:]):
			return auth.Certain
		default: // its policy has changed since, or another replica has another version of it
			return auth.Likely
		}
	case p.Logout:
		if token, found := m.sessionCookie(x); found == auth.Accepted && len(token) == tokenText {
			return auth.Likely
		}
	case p.Backchannel:
		if m.named(x) {
			return auth.Likely
		}
	}
	return auth.Unknown
}

// named reports whether the content is a logout token for this client, by what the
// token says of itself.
func (m *Method) named(x *exchange.Exchange) bool {
	if x.Request.Body == nil {
		return false
	}
	form, err := x.Hold(nil, maxForm, nil)
	if err != nil {
		return false
	}
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return false
	}
	claims := claimsOf(values.Get("logout_token"))
	if claims["iss"] != m.config.Issuer {
		return false
	}
	list, is := claims["aud"].([]any)
	return is && slices.Contains(list, any(m.config.ClientID)) || claims["aud"] == m.config.ClientID
}
