package exchange

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	var c Clock
	for unix, want := range map[int64]string{0: "Thu, 01 Jan 1970 00:00:00 GMT", 1618884475: "Tue, 20 Apr 2021 02:07:55 GMT"} {
		for range 2 {
			if got := c.Date(time.Unix(unix, 999).In(time.FixedZone("x", 3600))); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}
