package jwt

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxCached is the longest token that is remembered.
const maxCached = 4 << 10

// maxClaims is how much memory the claims of a token that is remembered take at most. Those that
// people have, with a few hundred groups, take less; who has an issuer write objects within
// objects into them makes 140 KiB of a token of 3.
const maxClaims = 16 << 10

// Cache remembers verified tokens. It is a fixed array of pointers, two places
// for each token by its hash: reading takes no lock and allocates nothing. When
// both are taken the first gives way, so it holds at most as many tokens as it
// has places. Only tokens that passed every check get in; what is compared is
// the whole token, never the hash alone.
type Cache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[entry]
	mask  uint64
}

// entry is a verified token. It does not change.
type entry struct {
	config  *table.JWT // the checks it passed
	token   string
	version uint64 // of the key set it was verified with
	from    int64  // Unix seconds: the later of nbf and iat, less leeway; a clock can go back
	until   int64  // Unix seconds: exp with leeway
	subject string
	claims  map[string]any // shared by all requests; nobody writes to it
}

// NewCache makes a cache of at least size places. A place with a token takes 3
// to 10 KiB, 24 at most.
func NewCache(size int) *Cache {
	n := uint64(1) << bits.Len64(uint64(max(size, 2)-1))
	return &Cache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry], n), mask: n - 1}
}

func (c *Cache) places(token string) (first, second *atomic.Pointer[entry]) {
	h := maphash.String(c.seed, token)
	return &c.slots[h&c.mask], &c.slots[(h>>32|1)&c.mask]
}

// get returns the entry of a token that config's checks passed with this
// version of the keys, and that counts at now; else nil.
func (c *Cache) get(config *table.JWT, token string, version uint64, now int64) *entry {
	if len(token) > maxCached {
		return nil
	}
	first, second := c.places(token)
	if e := first.Load(); e.holds(config, token, version, now) {
		return e
	}
	if e := second.Load(); e.holds(config, token, version, now) {
		return e
	}
	return nil
}

func (e *entry) holds(config *table.JWT, token string, version uint64, now int64) bool {
	return e != nil && e.config == config && e.version == version && now < e.until && now >= e.from && e.token == token
}

// put remembers e for token, which it clones. Entries that have run out, or are
// the same token's, give way before others.
func (c *Cache) put(e *entry, token string, now int64) {
	if len(token) > maxCached || auth.Weight(e.claims) > maxClaims {
		return
	}
	e.token = strings.Clone(token)
	first, second := c.places(token)
	place := first
	if !first.Load().free(e, now) && second.Load().free(e, now) {
		place = second
	}
	place.Store(e)
}

// free reports whether e's place may be taken by next.
func (e *entry) free(next *entry, now int64) bool {
	return e == nil || now >= e.until || e.token == next.token && e.config == next.config
}
