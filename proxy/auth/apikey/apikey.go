// Package apikey accepts opaque keys that the table knows by their SHA-256.
//
// proxy/guard builds an Index per table.APIKeys and a Method per policy that
// uses it.
//
// A key is looked up by its hash in a map, which does not take constant time.
// What a caller could learn by timing is how much of a hash of their own making
// equals a stored hash; to walk towards a stored hash they would have to find
// inputs whose SHA-256 begins as they wish, and the stored hash is of a key with
// at least 128 bits of entropy. The presented key itself is compared with one
// that was accepted before only when all of a keyed sum of both is the same, so
// that there is nothing to learn byte by byte.
package apikey

import (
	"crypto/sha256"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds of what an index remembers of keys that are in use.
const (
	maxRecent  = 1024
	keepRecent = 2 // seconds
)

// Index is the keys of one table.APIKeys by hash.
type Index struct {
	table  *table.APIKeys
	keys   map[[sha256.Size]byte]entry
	used   []atomic.Int64 // when each of the table's keys was last accepted, in Unix seconds; 0: never
	seed   maphash.Seed
	recent []atomic.Pointer[known] // by the key's sum; a power of two
}

// known is a key that was accepted, which need not be hashed again.
type known struct {
	sum uint64 // under the index's seed
	key string
	entry
}

type entry struct {
	key    *table.APIKey  // nil: two keys have this hash
	claims map[string]any // shared by all requests; nobody writes to it
	used   *atomic.Int64
}

// NewIndex indexes t. A hash that two Secrets hold accepts nobody: it could not
// be told whose it is. What before, which may be nil, knows of the use of a
// Secret's key is taken over.
func NewIndex(t *table.APIKeys, before *Index) *Index {
	ix := &Index{
		table: t, keys: make(map[[sha256.Size]byte]entry, len(t.Keys)), used: make([]atomic.Int64, len(t.Keys)),
		seed: maphash.MakeSeed(), recent: make([]atomic.Pointer[known], min(maxRecent, 2<<bits.Len(uint(len(t.Keys))))),
	}
	earlier := map[string]int64{}
	if before != nil {
		before.Used(func(secret string, at int64) { earlier[secret] = at })
	}
	for i, k := range t.Keys {
		ix.used[i].Store(earlier[k.Secret])
		if _, twice := ix.keys[k.Hash]; twice {
			ix.keys[k.Hash] = entry{}
			continue
		}
		ix.keys[k.Hash] = entry{k, auth.KeyClaims(k), &ix.used[i]}
	}
	return ix
}

// find returns the entry of key; without a key in it there is none. Keys in use are
// remembered, whole: one takes the place of another that has not been used for a while.
func (ix *Index) find(key string, now int64) entry {
	sum := maphash.String(ix.seed, key)
	place := &ix.recent[sum&uint64(len(ix.recent)-1)]
	before := place.Load()
	if before != nil && before.sum == sum && before.key == key {
		return before.entry
	}
	e := ix.keys[sha256.Sum256(mem.Bytes(key))]
	if e.key != nil && (before == nil || before.used.Load() < now-keepRecent) {
		place.Store(&known{sum, strings.Clone(key), e})
	}
	return e
}

// ID is that of the table's keys.
func (ix *Index) ID() string { return ix.table.ID }

// Used calls f with the Secret of each key that has been accepted, and when last,
// in Unix seconds.
func (ix *Index) Used(f func(secret string, at int64)) {
	for i, k := range ix.table.Keys {
		if at := ix.used[i].Load(); at != 0 {
			f(k.Secret, at)
		}
	}
}

// Method is one policy's use of an index.
type Method struct {
	index     *Index
	from      auth.Credential
	challenge string
	clock     auth.Clock
}

// New makes the method. source is the first place the key may stand in; the
// challenge names it.
func New(index *Index, from auth.Credential, source table.CredentialSource, clock auth.Clock) *Method {
	m := &Method{index: index, from: from, clock: clock}
	switch {
	case source.Scheme != "":
		m.challenge = source.Scheme + ` realm="gatehouse"`
	case source.Header != "":
		m.challenge = `ApiKey realm="gatehouse", header="` + source.Header + `"`
	case source.Cookie != "":
		m.challenge = `ApiKey realm="gatehouse", cookie="` + source.Cookie + `"`
	default:
		m.challenge = `ApiKey realm="gatehouse"`
	}
	return m
}

// Authenticate implements auth.Method.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	key, found := m.from.Find(x)
	if found != auth.Accepted {
		if found == auth.Rejected {
			return auth.Result{Outcome: found, Code: auth.CodeRepeated}
		}
		return auth.Result{Outcome: found}
	}
	now := m.clock.At(x).Unix()
	e := m.index.find(key, now)
	if e.key == nil {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeAPIKeyUnknown}
	}
	switch {
	case e.key.NotBefore != 0 && now < e.key.NotBefore:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeAPIKeyEarly}
	case e.key.Expires != 0 && now >= e.key.Expires:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeAPIKeyExpired}
	case e.used.Load() != now: // once a second, so that processors do not fight for it
		e.used.Store(now)
	}
	p.Subject, p.Claims = e.key.Subject, e.claims
	return auth.Result{Outcome: auth.Accepted}
}

// Challenge implements auth.Method.
func (m *Method) Challenge() string { return m.challenge }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) { m.from.Strip(x) }
