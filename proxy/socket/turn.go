package socket

import (
	"sync"
	"time"
)

// slice is how long a caller of Turns.Step computes before it lets others go first. A
// request waits for it twice, on its way to the backend and back. Parking takes 2 us.
const slice = 50 * time.Microsecond

// Turns lets connections go first while something long is computed. A goroutine that computes for
// milliseconds holds up every request where the runtime has one processor:
// while there is something to run the runtime looks at the network every 10 ms only, and
// runtime.Gosched puts the caller where it is found before that look. So Step
// parks on the poller itself, behind the connections that are ready by then: it
// writes a byte to a pipe and waits until it can be read. That takes a few
// microseconds, and unlike a sleep no longer where nobody has anything to do.
//
// Where Raw is false Step is runtime.Gosched.
type Turns struct {
	mu    sync.Mutex
	calls uint
	began time.Time // of the slice
	pipe  pipe
	one   [1]byte
}

// NewTurns returns a Turns; Close ends it.
func NewTurns() (*Turns, error) {
	t := &Turns{}
	return t, t.open()
}

// Step is called every few microseconds by whoever computes. It returns at once,
// but for once in 50 us. Any goroutine may call it; while one waits its turn
// the others do not.
func (t *Turns) Step() {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	if t.calls++; t.calls%8 != 0 { // the clock is not free either
		return
	}
	if now := time.Now(); now.Sub(t.began) >= slice {
		t.wait()
		t.began = time.Now()
	}
}
