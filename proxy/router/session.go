package router

import (
	"github.com/gatehouse-dev/gatehouse/proxy/session"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// buildSessions gives a's backends their sessions: the action's before their own.
// Tokens are good for the rule, over all its backends.
func (b *builder) buildSessions(a *Action, t *table.Action) error {
	made := map[table.Session]*session.Session{}
	for i := range a.Backends {
		wanted := t.Session
		if wanted == nil {
			wanted = t.Backends[i].Session
		}
		if wanted == nil || a.Backends[i].Upstream == nil {
			continue
		}
		s := made[*wanted]
		if s == nil {
			var err error
			if s, err = session.New(wanted, t.Route+" "+t.Rule, b.owners.Sessions); err != nil {
				return err
			}
			made[*wanted] = s
			a.Sessions = append(a.Sessions, s)
		}
		a.Backends[i].Session, a.Backends[i].Key = s, session.Key(t.Backends[i].Backend)
	}
	return nil
}

// Resume returns the backend that has a session at p by s; nil for none.
func (a *Action) Resume(s *session.Session, p session.Place) *Backend {
	for i := range a.Backends {
		if b := &a.Backends[i]; b.Session == s && b.Key == p.Backend {
			return b
		}
	}
	return nil
}
