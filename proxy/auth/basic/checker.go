package basic

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"
)

// Bounds of checking passwords.
const (
	remember   = 5 * time.Minute // a password that was right is right again without hashing
	maxWaiting = 64              // requests that wait for a turn to hash
	maxWait    = time.Second
	places     = 1024 // passwords remembered
)

// Checker checks passwords for all methods, across tables. Hashing is slow on
// purpose, so it is bounded: as many at a time as are half the processors, some
// more wait for a second at most, the rest are told to come back. A flood of
// wrong passwords thus delays other basic logins, and leaves processors to all
// other requests: where each of them hashes, every step of a request waits until
// one is taken off its processor, some 10 ms.
type Checker struct {
	now     func() time.Time
	turns   chan struct{}
	waiting atomic.Int32
	key     [32]byte // of this process; what is remembered is useless elsewhere
	right   [places]atomic.Pointer[right]
}

// right is a password that was right.
type right struct {
	digest [sha256.Size]byte
	until  int64 // Unix nanoseconds
}

// NewChecker makes a checker.
func NewChecker(now func() time.Time) *Checker {
	c := &Checker{now: now, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	_, _ = rand.Read(c.key[:]) // it never fails (crypto/rand)
	return c
}

// check reports whether password is u's; ok is false when it could not be told
// in time.
func (c *Checker) check(u *user, password string) (yes, ok bool) {
	digest := c.digest(u, password)
	if c.remembers(&digest) {
		return true, true
	}
	if !c.turn() {
		return false, false
	}
	defer func() { <-c.turns }()
	if c.remembers(&digest) { // another request of the caller's was faster
		return true, true
	}
	if !u.verifier.verify([]byte(password)) || u.nobody {
		return false, true
	}
	c.place(&digest).Store(&right{digest, c.now().Add(remember).UnixNano()})
	return true, true
}

func (c *Checker) turn() bool {
	select {
	case c.turns <- struct{}{}:
		return true
	default:
	}
	if c.waiting.Add(1) > maxWaiting {
		c.waiting.Add(-1)
		return false
	}
	defer c.waiting.Add(-1)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case c.turns <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// digest stands for a password, its user and the hash it is checked against, so
// that a changed hash is another digest. It is SHA-256 with the key before the
// text: it never leaves the process, so nobody can extend one.
func (c *Checker) digest(u *user, password string) [sha256.Size]byte {
	var b [32 + sha256.Size + maxPassword]byte
	n := copy(b[:], c.key[:])
	n += copy(b[n:], u.identity[:])
	n += copy(b[n:], password)
	return sha256.Sum256(b[:n])
}

// pick chooses one of n for a name, the same one each time, as nobody can foretell.
func (c *Checker) pick(name string, n int) int {
	var b [32 + maxPassword]byte
	at := copy(b[:], c.key[:])
	at += copy(b[at:], name)
	sum := sha256.Sum256(b[:at])
	return int(binary.LittleEndian.Uint32(sum[:]) % uint32(n)) //nolint:gosec // as many users as fit into a Secret
}

func (c *Checker) place(digest *[sha256.Size]byte) *atomic.Pointer[right] {
	return &c.right[binary.LittleEndian.Uint64(digest[:])%places]
}

func (c *Checker) remembers(digest *[sha256.Size]byte) bool {
	r := c.place(digest).Load()
	return r != nil && r.digest == *digest && c.now().UnixNano() < r.until
}
