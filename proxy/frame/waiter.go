package frame

import "time"

// Waiter lets one goroutine of a stream or a connection wait for what others do
// there: for a window, for content, for an end. Whoever is woken looks again at
// what it waits for. Init must be called.
type Waiter struct {
	C     chan struct{}
	timer *time.Timer // made with the first wait that needs one
}

// Init makes w ready.
func (w *Waiter) Init() { w.C = make(chan struct{}, 1) }

// Signal ends the wait, or the next one if none is under way.
func (w *Waiter) Signal() {
	select {
	case w.C <- struct{}{}:
	default:
	}
}

// Clear forgets a signal that nobody has waited for.
func (w *Waiter) Clear() {
	select {
	case <-w.C:
	default:
	}
}

// Wait waits for a signal, or until then; it returns false when that has passed.
func (w *Waiter) Wait(until time.Time) bool {
	select {
	case <-w.C:
		return true
	default:
	}
	d := time.Until(until)
	if d <= 0 {
		return false
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	defer w.timer.Stop()
	select {
	case <-w.C:
		return true
	case <-w.timer.C:
		return false
	}
}
