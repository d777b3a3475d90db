package usage_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
)

// What takes longer than a span is told of while it goes on; what does not is not.
func TestAloud(t *testing.T) {
	r, w := io.Pipe()
	line := make([]byte, 64)
	got := usage.Aloud(w, time.Millisecond, "reading", func() string {
		n, err := r.Read(line)
		if err != nil {
			t.Error(err)
		}
		_ = r.Close()
		return string(line[:n])
	})
	if got != "reading … 0s\n" {
		t.Errorf("told %q", got)
	}
	var told strings.Builder
	if got := usage.Aloud(&told, time.Hour, "reading", func() int { return 1 }); got != 1 || told.Len() > 0 {
		t.Errorf("got %d, told %q", got, told.String())
	}
}
