package proxy

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth/keyset"
	"github.com/gatehouse-dev/gatehouse/proxy/telemetry"
)

// KeySets returns what the server has fetched of key sets, so that others can go
// by it where they cannot fetch it.
func (s *Server) KeySets() []keyset.Kept { return s.owners.Guard.Kept() }

// RestoreKeySets makes key sets that were not fetched since the server began go by
// what others fetched, for keyset.MaxAge at most. The error says what is of no use,
// and why.
func (s *Server) RestoreKeySets(kept []keyset.Kept) error { return s.owners.Guard.Restore(kept) }

// KeySetsMissing says of the key sets of the table that were never fetched why not,
// by ID. It may be called at any time.
func (s *Server) KeySetsMissing() map[string]string {
	out := map[string]string{}
	s.owners.Guard.KeySets(func(id string, left keyset.Left) {
		if left.Keys == 0 && left.Failure != nil {
			out[id] = steady(left.Failure.Error())
		}
	})
	return out
}

// steady is what a connection failed of without the port it came from, which is another
// one each time.
func steady(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if _, to, is := strings.Cut(w, "->"); is {
			words[i] = to
		}
	}
	return strings.Join(words, " ")
}

// keySets is a telemetry.Sources.
func (s *Server) keySets(f func(id string, set telemetry.KeySet)) {
	s.owners.Guard.KeySets(func(id string, left keyset.Left) {
		if left.Keys == 0 {
			f(id, telemetry.KeySet{Missing: true})
			return
		}
		f(id, telemetry.KeySet{Age: s.now().Sub(left.Fetched), Kept: left.Kept})
	})
}

func (s *Server) keySetFetched(id string, left keyset.Left, err error) {
	switch {
	case err == nil && left.Failed > 0:
		s.log.Info("a key set was fetched again", "keySet", id, "failures", left.Failed)
	case err == nil:
	case left.Keys == 0:
		s.log.Error(err, "a key set was not fetched, and there is none yet: what it guards is answered 503", "keySet", id)
	default:
		s.log.Error(err, "a key set was not fetched; its last known keys stay in force", "keySet", id, "fetched", left.Fetched)
	}
}
