package oidc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// record is a session as the store has it, sealed.
type record struct {
	IDToken string    `json:"id"`           // verified when it came; its claims are the caller's
	Later   string    `json:"li,omitempty"` // an ID token without a sid that came since: its claims count instead
	Access  string    `json:"at,omitempty"`
	Refresh string    `json:"rt,omitempty"`
	Info    []byte    `json:"ui,omitempty"` // what the userinfo endpoint said of the user
	Created int64     `json:"c"`            // milliseconds of Unix time
	Marks   [2][]byte `json:"m"`            // of its sid and sub, when it began
	Expires int64     `json:"e,omitempty"`  // Unix seconds at which the access token runs out; 0: unknown
	Due     int64     `json:"d,omitempty"`  // Unix seconds from which it should be refreshed
	Until   int64     `json:"u,omitempty"`  // milliseconds of Unix time at which it ends, for another has taken its place; 0: none has
}

// session finds the session of a cookie's token and has it refreshed when it is
// due. It is nil where there is none, with what that means for the caller.
func (m *Method) session(token string) (*session, auth.Result) {
	if len(token) != tokenText {
		return nil, auth.Result{Outcome: auth.Absent}
	}
	id := m.seals.sessionID(token)
	now := m.needs.Now()
	s := m.needs.Cache.get(&id)
	if s == nil || !m.confirmed(s, now, fresh) {
		var result auth.Result
		if s, result = m.load(&id, token, s, now); s == nil {
			return nil, result
		}
	}
	if now.UnixMilli() >= s.created+m.config.Session.Absolute.Milliseconds() || s.until != 0 && now.UnixMilli() >= s.until {
		m.end(&id)
		return nil, auth.Result{Outcome: auth.Absent}
	}
	if m.config.NeedsToken() && s.access == "" || m.config.UserInfo && !s.informed {
		// It began before the policy asked for this, or under another one of the
		// client, which does not. A login, at which the user need not do anything
		// while the provider knows them, makes one that does for both.
		return nil, auth.Result{Outcome: auth.Absent}
	}
	if s.refresh != 0 && now.Unix() >= s.refresh && !s.putOff(now.Unix()) {
		if s = m.renew(s, token, now); s == nil {
			return nil, auth.Result{Outcome: auth.Absent}
		}
	}
	return s, auth.Result{Outcome: auth.Accepted}
}

// confirmed reports whether the store had s no longer ago than age. What lies
// ahead was noted before the clock was set back: who knows how long ago.
func (m *Method) confirmed(s *session, now time.Time, age time.Duration) bool {
	ago := now.UnixMilli() - s.checked.Load()
	return ago >= 0 && ago < age.Milliseconds() && s.epoch.Load() == m.needs.Cache.epoch.Load()
}

// load asks the store for a session; known, if there is one, is what was read of
// it before. A store that fails does not end sessions that it had a moment ago.
func (m *Method) load(id *[32]byte, token string, known *session, now time.Time) (*session, auth.Result) {
	ctx := context.Background() // the store has its own limits
	epoch := m.needs.Cache.epoch.Load()
	keys := [][32]byte{*id}
	if known != nil {
		keys = append(keys, known.marks[:]...)
	}
	values, err := m.needs.Store.Get(ctx, keys, m.config.Session.Idle)
	if err == nil && values[0] == nil {
		m.needs.Cache.drop(id)
		return nil, auth.Result{Outcome: auth.Absent}
	}
	s := known
	if err == nil && (known == nil || !bytes.HasPrefix(values[0], known.mark[:])) {
		if s = m.open(id, token, values[0]); s == nil {
			return nil, auth.Result{Outcome: auth.Absent}
		}
		if known == nil {
			var marks [][]byte
			if marks, err = m.needs.Store.Get(ctx, s.marks[:], m.config.Session.Absolute); err == nil {
				values = append(values, marks...)
			}
		}
	}
	if err != nil {
		m.needs.Cache.count(StoreFailed)
		if known != nil && m.confirmed(known, now, stale) {
			return known, auth.Result{}
		}
		return nil, auth.Result{Outcome: auth.Unavailable, Code: CodeStore, RetryAfter: retryAfter}
	}
	for i, mark := range values[1:] {
		if mark != nil && !bytes.Equal(mark, s.began[i]) {
			m.end(id)
			return nil, auth.Result{Outcome: auth.Absent}
		}
	}
	s.epoch.Store(epoch)
	s.checked.Store(now.UnixMilli())
	if s != known {
		m.needs.Cache.put(s)
	}
	return s, auth.Result{}
}

// end removes a session.
func (m *Method) end(id *[32]byte) {
	if err := m.needs.Store.Delete(context.Background(), *id); err != nil {
		m.needs.Cache.count(StoreFailed)
	}
	m.needs.Cache.drop(id)
}

// handover is how long a session goes on after another has taken its place.
const handover = 10 * time.Second

// replace ends the session of token, in whose place the browser has another now. If
// that is the same user's, the old one goes on for a moment: what other tabs have
// under way carries its cookie. Nobody refreshes it any more.
func (m *Method) replace(token, subject string) {
	ctx, id := context.Background(), m.seals.sessionID(token)
	claim := m.refreshClaim(&id)
	if ours, err := m.needs.Store.Set(ctx, claim, []byte{1}, claimTime, absent); err != nil || !ours {
		m.end(&id) // else who refreshes it would write it anew
		return
	}
	defer func() { _ = m.needs.Store.Delete(ctx, claim) }()
	values, err := m.needs.Store.Get(ctx, [][32]byte{id}, handover)
	if err != nil || values[0] == nil {
		m.end(&id)
		return
	}
	r := m.unseal(token, values[0])
	if r == nil || claimsOf(r.IDToken)["sub"] != subject {
		m.end(&id)
		return
	}
	if r.Until != 0 {
		return
	}
	r.Until, r.Refresh = m.needs.Now().Add(handover).UnixMilli(), ""
	sealed, err := m.seal(token, r)
	if err == nil {
		_, err = m.needs.Store.Set(ctx, id, sealed, handover, present)
	}
	if err != nil {
		m.end(&id)
	}
	m.needs.Cache.drop(&id)
}

// seal makes of a record what the store gets.
func (m *Method) seal(token string, r *record) ([]byte, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	key, err := m.seals.sessionKey(token)
	if err != nil {
		return nil, err
	}
	return key.Seal(nil, nil, plain, m.seals.realm[:]), nil
}

// unseal is seal's inverse; nil for what this token did not seal.
func (m *Method) unseal(token string, sealed []byte) *record {
	key, err := m.seals.sessionKey(token)
	if err != nil {
		return nil
	}
	plain, err := key.Open(nil, nil, sealed, m.seals.realm[:])
	if err != nil {
		return nil
	}
	r := &record{}
	if json.Unmarshal(plain, r) != nil {
		return nil
	}
	return r
}

// open reads a sealed record; nil if it cannot be.
func (m *Method) open(id *[32]byte, token string, sealed []byte) *session {
	r := m.unseal(token, sealed)
	if r == nil {
		return nil
	}
	return m.asSession(id, sealed, r)
}

// asSession is a record as requests see it.
func (m *Method) asSession(id *[32]byte, sealed []byte, r *record) *session {
	s := &session{id: *id, created: r.Created, until: r.Until, bytes: len(sealed), granted: granted{access: r.Access, expires: r.Expires}}
	copy(s.mark[:], sealed)
	if s.claims = r.claims(); s.claims == nil {
		return nil
	}
	s.subject, _ = s.claims["sub"].(string)
	inform(s.claims, r.Info)
	s.bytes += auth.Weight(s.claims)
	s.informed = len(r.Info) > 0
	if r.Refresh != "" && r.Expires != 0 {
		if s.refresh = r.Due; s.refresh == 0 { // an older version wrote it
			s.refresh = r.Expires - refreshAhead
		}
	}
	s.marks, s.began = m.marks(s.claims), r.Marks
	return s
}

// claims are the caller's, as the provider's tokens have them.
func (r *record) claims() map[string]any {
	claims := claimsOf(r.IDToken)
	if later := claimsOf(r.Later); claims != nil && later != nil {
		later["sid"] = claims["sid"]
		return later
	}
	return claims
}

// marks are the keys under which the store has marks of a session with these
// claims.
func (m *Method) marks(claims map[string]any) [2][32]byte {
	sid, _ := claims["sid"].(string)
	sub, _ := claims["sub"].(string)
	return [2][32]byte{m.seals.markID("sid ", sid), m.seals.markID("sub ", sub)}
}

// claimsOf reads the payload of a token that has been verified.
func claimsOf(token string) map[string]any {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	plain, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	var claims map[string]any
	if json.Unmarshal(plain, &claims) != nil {
		return nil
	}
	return claims
}

// revoke ends all sessions of a sid or sub that there are. It cannot list them: it
// leaves a mark that none of them has seen, and that lives as long as any. What
// the clocks of replicas say when does not matter.
func (m *Method) revoke(kind, value string, mark []byte) error {
	_, err := m.needs.Store.Set(context.Background(), m.seals.markID(kind, value), mark, m.config.Session.Absolute, always)
	if err != nil {
		m.needs.Cache.count(StoreFailed)
		return err
	}
	m.needs.Cache.epoch.Add(1)
	return nil
}
