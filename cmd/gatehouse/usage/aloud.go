package usage

import (
	"fmt"
	"io"
	"time"
)

// Aloud returns what do does, and meanwhile tells w that it is still at it: at each span
// that has gone by.
func Aloud[T any](w io.Writer, span time.Duration, what string, do func() T) T {
	done := make(chan T, 1)
	go func() { done <- do() }()
	for began := time.Now(); ; {
		select {
		case it := <-done:
			return it
		case <-time.After(span):
			_, _ = fmt.Fprintf(w, "%s … %.0fs\n", what, time.Since(began).Seconds())
		}
	}
}
