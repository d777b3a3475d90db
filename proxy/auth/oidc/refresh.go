package oidc

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

const (
	refreshAhead = 30               // seconds before the access token runs out; half its life, if that is less
	refreshAgain = 10               // seconds after a provider that could not be asked
	claimTime    = 30 * time.Second // one replica at a time refreshes a session, for so long at most: longer than refreshTime and callTime
	claimPoll    = 100 * time.Millisecond
	claimWait    = 3 * time.Second
)

// renew has a session refreshed that is due. One request does it; others go on
// with what there is, and wait only where they would forward a token that has run
// out. It returns nil when the session is over; a provider that cannot be asked
// ends none. Where one is slow requests go on with what there is, and what it says
// is still taken: the refresh token may be used up.
func (m *Method) renew(s *session, token string, now time.Time) *session {
	mustWait := m.config.NeedsToken() && now.Unix() >= s.expires
	first := s.underWay.CompareAndSwap(false, true)
	if !first && !mustWait {
		return s
	}
	if first {
		defer s.underWay.Store(false)
	}
	token = strings.Clone(token) // the request may be over before the refresh is
	result := m.refreshes.DoChan(string(s.id[:]), func() (any, error) { return m.refresh(s, token), nil })
	late := time.NewTimer(m.patience)
	defer late.Stop()
	select {
	case r := <-result:
		next, _ := r.Val.(*session)
		return next
	case <-late.C:
		s.again.Store(m.needs.Now().Unix() + refreshAgain)
		return s
	}
}

// refreshClaim is the key under which a replica notes that it refreshes a session.
func (m *Method) refreshClaim(id *[32]byte) [32]byte {
	return m.seals.markID("refresh ", string(id[:]))
}

// refresh refreshes s, unless another replica is at it or has done it.
func (m *Method) refresh(s *session, token string) *session {
	ctx := context.Background()
	claim := m.refreshClaim(&s.id)
	for waited := time.Duration(0); ; waited += claimPoll {
		ours, err := m.needs.Store.Set(ctx, claim, []byte{1}, claimTime, absent)
		if err != nil {
			m.needs.Cache.count(StoreFailed)
			return m.later(s)
		}
		if ours {
			break
		}
		if waited >= claimWait {
			return m.later(s)
		}
		time.Sleep(claimPoll)
	}
	now := m.needs.Now()
	defer func() {
		if m.needs.Now().Sub(now) < claimTime { // else it may be another replica's by now
			_ = m.needs.Store.Delete(ctx, claim)
		}
	}()
	current, result := m.load(&s.id, token, s, now)
	switch {
	case current == nil && result.Outcome == auth.Unavailable:
		return m.later(s)
	case current == nil:
		return nil
	case current.refresh == 0 || now.Unix() < current.refresh:
		return current // another replica was faster, or another session takes its place
	}
	return m.ask(current, token, now)
}

// putOff reports whether later has put the next try off. One that lies further
// ahead than that is of a clock that has been set back since.
func (s *session) putOff(now int64) bool {
	left := s.again.Load() - now
	return left > 0 && left <= refreshAgain
}

// later puts the next try off.
func (m *Method) later(s *session) *session {
	m.needs.Cache.count(RefreshFailed)
	s.again.Store(m.needs.Now().Unix() + refreshAgain)
	return s
}

// ask gets new tokens from the provider and keeps them.
func (m *Method) ask(s *session, token string, now time.Time) *session {
	ctx := context.Background()
	values, err := m.needs.Store.Get(ctx, [][32]byte{s.id}, m.config.Session.Idle)
	if err != nil {
		m.needs.Cache.count(StoreFailed)
		return m.later(s)
	}
	r := m.unseal(token, values[0])
	if r == nil {
		return nil
	}
	next, failure := m.provider.refresh(r.Refresh)
	switch failure {
	case "":
	case CodeCode:
		return m.refreshRefused(s, token)
	default:
		return m.later(s)
	}
	outcome := m.keep(r, next, s)
	if outcome == refreshOver {
		m.needs.Cache.count(RefreshRefused)
		m.end(&s.id)
		return nil
	}
	sealed, err := m.seal(token, r)
	if err != nil {
		return m.later(s)
	}
	left := time.UnixMilli(r.Created).Add(m.config.Session.Absolute).Sub(now)
	there, err := m.needs.Store.Set(ctx, s.id, sealed, min(m.config.Session.Idle, left), present)
	switch {
	case err != nil:
		m.needs.Cache.count(StoreFailed)
		return m.later(s)
	case !there: // logged out meanwhile
		m.needs.Cache.drop(&s.id)
		return nil
	}
	out := m.asSession(&s.id, sealed, r)
	if out == nil {
		return nil
	}
	out.checked.Store(now.UnixMilli())
	out.epoch.Store(s.epoch.Load())
	m.needs.Cache.put(out)
	if outcome == refreshUnsure {
		return m.later(out)
	}
	m.needs.Cache.count(Refreshed)
	return out
}

// refreshRefused ends a session whose refresh token the provider does not take,
// unless another replica has used that meanwhile and got a new one: a claim that
// was lost, or ran out, keeps nobody from that.
func (m *Method) refreshRefused(s *session, token string) *session {
	current, result := m.load(&s.id, token, s, m.needs.Now())
	switch {
	case current == nil && result.Outcome == auth.Unavailable:
		return m.later(s)
	case current != s:
		return current
	}
	m.needs.Cache.count(RefreshRefused)
	m.end(&s.id)
	return nil
}

// refreshOutcome is what a provider's answer to a refresh is worth.
type refreshOutcome uint8

const (
	refreshKept   refreshOutcome = iota
	refreshUnsure                // whether the ID token is good cannot be told yet
	refreshOver
)

// keep takes the new tokens into r. A new ID token must be about the same user
// (OpenID Connect Core, section 12.2). While that cannot be told only the refresh
// token is taken: where it is new, the one before is over.
func (m *Method) keep(r, next *record, s *session) refreshOutcome {
	if next.Refresh != "" {
		r.Refresh = next.Refresh
	}
	if next.IDToken != "" && next.IDToken != r.IDToken {
		claims, failure := m.verify(next.IDToken, "", 0)
		if failure == auth.CodeKeySet || failure == auth.CodeJWTKey {
			return refreshUnsure
		}
		if failure != "" || claims["sub"] != s.subject || !m.meant(claims) {
			return refreshOver
		}
		if _, there := claims["sid"]; there || s.claims["sid"] == nil {
			r.IDToken, r.Later = next.IDToken, ""
		} else {
			r.Later = next.IDToken // the one with the sid says which session it is, to us and to the provider
		}
	}
	r.Access = next.Access
	if m.config.UserInfo || len(r.Info) > 0 {
		if info := m.provider.userInfo(next.Access, s.subject); info != nil {
			r.Info = info
		}
	}
	r.Expires, r.Due = next.Expires, next.Due
	return refreshKept
}
