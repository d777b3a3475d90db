package keyset

import (
	"hash/maphash"
	"sync/atomic"
)

// misses tells a token that is signed with a key newer than ours from one that is
// signed with nobody's. The first is our fault, the second its bearer's, and which
// it is only the provider knows: until it was asked after the miss, nobody can
// tell. What it did not have then is remembered, a few hundred at most.
type misses struct {
	wanted chan struct{} // one element: there was a miss
	open   atomic.Bool   // the provider will be asked within a second, is being asked, or does not answer
	begun  atomic.Uint64 // fetches
	good   atomic.Uint64 // the number of the last fetch that went well

	seed  maphash.Seed       // so that nobody can choose what is forgotten
	asked [256]atomic.Uint64 // what was missed, by its hash: 48 bits of that, and 16 of begun
}

func newMisses() *misses {
	return &misses{wanted: make(chan struct{}, 1), seed: maphash.MakeSeed()}
}

// miss notes that what was asked for, and reports whether the provider has yet to
// say that it has no such key.
func (m *misses) miss(what string) (pending bool) {
	select {
	case m.wanted <- struct{}{}:
	default:
	}
	if !m.open.Load() {
		return false
	}
	const number = 1<<16 - 1
	hash := maphash.String(m.seed, what)
	place := &m.asked[hash>>56]
	if was := place.Load(); was != 0 && (was^hash)&^number == 0 {
		// A fetch that had begun before may have been answered before.
		return int16(uint16(m.good.Load())-uint16(was)) <= 0 //nolint:gosec // numbers go round
	}
	place.Store(hash&^number | m.begun.Load()&number)
	return true
}

// fetched notes that the provider said which keys there are. soon is whether a
// miss makes it be asked again within a second.
func (m *misses) fetched(soon bool) {
	m.good.Store(m.begun.Load())
	m.open.Store(soon)
}
