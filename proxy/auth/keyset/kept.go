package keyset

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// MaxAge is how old keys may get that were fetched before this process began.
// A provider that is down for longer may have withdrawn them meanwhile, and we
// are the only ones who have not heard.
const MaxAge = 72 * time.Hour

// The bounds of what is kept.
const (
	maxMetadata = 16 << 10        // bytes; a longer document is left out
	maxAhead    = 5 * time.Minute // of a clock that fetched
)

// Kept is what a fetch brought, for processes that cannot fetch it themselves.
type Kept struct {
	Source   string    // the ID of the set, which says where from: "uri https://issuer.example/keys"
	Fetched  time.Time //
	Document []byte    // a JWK set of public keys, with the issuer's metadata as a further member
}

// document is the text of a Kept.
type document struct {
	Keys     []jose.JSONWebKey `json:"keys"`
	Metadata json.RawMessage   `json:"metadata,omitempty"`
}

// Kept returns what was fetched for each set, in the order of their IDs; of sets
// that go by what was kept, that. It may be called at any time.
func (k *KeySets) Kept() []Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Kept
	for id, s := range k.sets {
		now := s.state.Load()
		if now == nil || !fetches(s.source) {
			continue
		}
		if text, err := write(now); err == nil {
			all = append(all, Kept{Source: id, Fetched: now.fetched, Document: text})
		}
	}
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Compare(a.Source, b.Source) })
	return all
}

// write is the document of what is in force, made anew: whatever else the
// provider published is not in it.
func write(from *state) ([]byte, error) {
	var d document
	for _, k := range from.keys {
		out := jose.JSONWebKey{Key: k.Public, KeyID: k.ID, Use: "sig"}
		if !out.IsPublic() {
			return nil, errPrivate
		}
		if len(k.Algorithms) == 1 {
			out.Algorithm = k.Algorithms[0]
		}
		d.Keys = append(d.Keys, out)
	}
	if len(from.metadata) <= maxMetadata {
		d.Metadata = from.metadata
	}
	return json.Marshal(d)
}

// read is the way back.
func read(from Kept) (*state, error) {
	switch age := time.Since(from.Fetched); {
	case age > MaxAge:
		return nil, fmt.Errorf("they were fetched %v ago; they count for %v", age.Round(time.Minute), MaxAge)
	case age < -maxAhead:
		return nil, fmt.Errorf("they were fetched at %v, which lies ahead", from.Fetched.UTC().Format(time.RFC3339))
	}
	keys, err := Parse(from.Document)
	if err != nil {
		return nil, err
	}
	var d struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(from.Document, &d); err != nil {
		return nil, err
	}
	return &state{keys: keys, fetched: from.Fetched, metadata: d.Metadata, kept: true}, nil
}

// Restore replaces what was kept. Sets that have fetched nothing go by it, from
// now on or as soon as a table has them, until they have, or until it is MaxAge
// old. The error says which of it is of no use and why. It may be called at any
// time.
func (k *KeySets) Restore(all []Kept) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = make(map[string]Kept, len(all))
	var bad error
	for _, kept := range all {
		if _, err := read(kept); err != nil {
			bad = errors.Join(bad, fmt.Errorf("the keys kept of %s: %w", kept.Source, err))
			continue
		}
		k.kept[kept.Source] = kept
	}
	for _, s := range k.sets {
		k.restore(s)
	}
	return bad
}

// restore puts what was kept of s in force where that is better than what it has.
func (k *KeySets) restore(s *KeySet) {
	kept, there := k.kept[s.id]
	if !there || !fetches(s.source) {
		return
	}
	now := s.state.Load()
	if now != nil && (!now.kept || !kept.Fetched.After(now.fetched)) {
		return
	}
	next, err := read(kept)
	if err != nil {
		return // too old by now
	}
	if now != nil && equal(now.keys, next.keys) {
		next.version = now.version
	} else {
		next.version = k.last.Add(1)
	}
	s.state.CompareAndSwap(now, next) // a fetch that was faster is better still
}

// expire ends what was kept when it is too old.
func (s *KeySet) expire() {
	if now := s.state.Load(); now != nil && now.kept && time.Since(now.fetched) > MaxAge {
		s.state.CompareAndSwap(now, nil)
	}
}

// fetches reports whether the keys of t are fetched, rather than in t itself.
func fetches(t *table.KeySet) bool { return t.URI != "" || t.Discovery != "" || t.Backend != "" }

// Left is what a set has, whatever became of a fetch.
type Left struct {
	Keys    int       // 0: none
	Fetched time.Time // when
	Kept    bool      // by others than this process
	Failure error     // of the last fetch
	Failed  int       // fetches before the last one, in a row; told of a fetch alone
}

func (s *KeySet) failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *KeySet) left() Left {
	now := s.state.Load()
	if now == nil {
		return Left{Failure: s.failed()}
	}
	return Left{Keys: len(now.keys), Fetched: now.fetched, Kept: now.kept, Failure: s.failed()}
}

var _ auth.Keys = (*KeySet)(nil)
