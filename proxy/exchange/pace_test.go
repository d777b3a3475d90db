package exchange

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	full := false
	p := Pace{Least: 64, Busy: 4096, Full: func(*Conn) bool { return full }}
	f := func(bytes int64, waited time.Duration, want bool) {
		t.Helper()
		if got := p.Slow(nil, bytes, waited, 10*time.Second); got != want {
			t.Errorf("%d bytes in %v, full %v: slow %v", bytes, waited, full, got)
		}
	}
	f(0, 9*time.Second, false)
	f(0, 10*time.Second, true)
	f(639, 10*time.Second, true)
	f(640, 10*time.Second, false)
	f(6400, 100*time.Second, false)
	full = true
	f(0, 9*time.Second, false)
	f(640, 10*time.Second, true)
	f(40960, 10*time.Second, false)
	p.Busy = 0
	f(640, 10*time.Second, false)
	p = Pace{Least: -1}
	f(0, time.Hour, false)
	p = Pace{Busy: 10}
	f(0, time.Hour, false)
}
