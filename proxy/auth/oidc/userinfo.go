package oidc

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// maxInfo is how much a userinfo endpoint may say of a user: it is kept with the session.
const maxInfo = 64 << 10

// userInfo asks the userinfo endpoint about the user whose access token it is
// (OpenID Connect Core, section 5.3); nil if it does not say, in plain JSON, or
// says it of somebody else.
func (p *provider) userInfo(access, subject string) []byte {
	md := p.metadata()
	if md == nil || access == "" || !p.usable(md.UserInfo) {
		return nil
	}
	r, err := remote.AskUserInfo(md.UserInfo, access)
	if err != nil {
		return nil
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxInfo+1))
	if err != nil || answer.StatusCode != http.StatusOK || len(content) > maxInfo {
		return nil
	}
	var claims map[string]any
	if json.Unmarshal(content, &claims) != nil || claims["sub"] != subject {
		return nil // section 5.3.2: whoever else it is about
	}
	return content
}

// inform adds to an ID token's claims those that it lacks. What tells which session
// it is comes from nothing that is not signed.
func inform(claims map[string]any, info []byte) {
	var more map[string]any
	if len(info) == 0 || json.Unmarshal(info, &more) != nil {
		return
	}
	for name, value := range more {
		if _, there := claims[name]; !there && name != "sid" {
			claims[name] = value
		}
	}
}
