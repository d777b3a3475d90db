package peer

import (
	"testing"
	"time"
)

func TestSchedstat(t *testing.T) {
	is := func(text string, want time.Duration, good bool) {
		t.Helper()
		if got, err := schedstat([]byte(text)); got != want || (err == nil) != good {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	is("1500 20 3\n", 1500, true)
	is("1500 20\n", 0, false)
	is("x 20 3\n", 0, false)
	is("", 0, false)
}

func TestPss(t *testing.T) {
	is := func(text string, want int64, good bool) {
		t.Helper()
		if got, err := pss([]byte(text)); got != want || (err == nil) != good {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	is("00400000-7fff [rollup]\nRss:  20 kB\nPss:   12 kB\nPss_Anon: 8 kB\n", 12<<10, true)
	is("Rss:  20 kB\n", 0, false)
}
