package compile

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// ruleSession compiles the sessionPersistence of a rule, whose cookie is for a
// path; nil for none.
func ruleSession(a *table.Action, s *spec.Session, path string) *table.Session {
	if s == nil {
		return nil
	}
	out := session(s, sessionName(a, s))
	out.Path = path
	return out
}

// backendSession compiles the sessionPersistence of a policy on a backend; nil for
// none. Each rule has sessions of its own there, in a cookie of its own, for the
// policy's has no path that could keep them apart (GEP-1619, "Route Rules Referencing
// to a Session Persistent Enabled Service Must Not Share Sessions").
func backendSession(a *table.Action, b *graph.Backend) *table.Session {
	if b.Traffic == nil || b.Traffic.Session == nil {
		return nil
	}
	s := b.Traffic.Session
	name := sessionName(a, s)
	if s.Name != "" && !s.Header {
		name += "-" + ruleDigits(a)
	}
	return session(s, name)
}

func session(s *spec.Session, name string) *table.Session {
	out := &table.Session{Cookie: name, Permanent: s.Permanent, Lifetime: s.Timeout}
	if s.Header {
		out.Cookie, out.Header = "", name
	}
	return out
}

// sessionName is the user's, or one of the rule's own: sessions of one name would
// take each other's place.
func sessionName(a *table.Action, s *spec.Session) string {
	if s.Name != "" {
		return s.Name
	}
	return "gatehouse-session-" + ruleDigits(a)
}

// ruleDigits tells a rule from others: eight digits.
func ruleDigits(a *table.Action) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(a.Route + " " + a.Rule)) // a hash takes all
	return fmt.Sprintf("%08x", h.Sum32())
}

// cookiePath is the path of the session cookie for requests that a match takes:
// what it says, and of a regular expression the longest part of it that is none
// (GEP-1619, "Path"). It is empty where the rule has no such cookie.
func cookiePath(rule *graph.Rule, m table.Match) string {
	if rule.Session == nil || rule.Session.Header {
		return ""
	}
	path, whole := m.Path.Value, true
	if m.Path.Kind == table.PathRegex {
		path, whole = "", false
		if re, err := regexp.Compile(strings.TrimPrefix(m.Path.Value, "^")); err == nil {
			path, whole = re.LiteralPrefix()
		}
	}
	if i := strings.IndexFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ';' }); i >= 0 {
		path, whole = path[:i], false // an attribute cannot hold it
	}
	if !whole {
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	if path == "" {
		return "/"
	}
	return path
}
