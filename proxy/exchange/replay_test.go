package exchange

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// pieces is content that comes in pieces of so many bytes.
type pieces struct {
	Body
	size, left int
}

func (p *pieces) Next() ([]byte, error) {
	if p.left == 0 {
		return nil, io.EOF
	}
	p.left--
	return bytes.Repeat([]byte{'x'}, p.size), nil
}

// ledger is a Held of limit bytes.
type ledger struct{ limit, in, turns, entered int }

func (l *ledger) Take(n int) bool { l.in += n; return l.in <= l.limit }
func (l *ledger) Give(n int)      { l.in -= n }
func (l *ledger) Enter(int)       { l.turns++; l.entered++ }
func (l *ledger) Leave(int)       { l.turns-- }

// What content takes is counted as it comes, whatever was announced, and given back.
func TestHoldTakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		size, count int
		least, most int // of what is counted
		full        bool
	}{
		"what counts with the request": {4 << 10, 4, 0, 0, false},
		"large":                        {32 << 10, 8, 256 << 10, 512 << 10, false},
		"larger than the room":         {32 << 10, 64, 1 << 20, 3 << 20, true},
	} {
		l := &ledger{limit: 1 << 20}
		x := &Exchange{Memory: Memory{Held: l}}
		x.Request.Body = &pieces{size: c.size, left: c.count}
		_, err := x.Hold(make([]byte, 0, 4<<10), 16<<20, nil)
		var e *Error
		if full := errors.As(err, &e); full != c.full || full && (e.Status != 503 || e.RetryAfter == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if l.in < c.least || l.in > c.most {
			t.Errorf("%s: %d bytes are counted, want %d to %d", name, l.in, c.least, c.most)
		}
		read := 0
		for {
			p, err := x.Request.Body.Next()
			if read += len(p); err != nil {
				break
			}
		}
		if read != c.size*c.count {
			t.Errorf("%s: %d bytes can be read afterwards, want %d", name, read, c.size*c.count)
		}
		if x.Release(); l.in != 0 {
			t.Errorf("%s: %d bytes are left", name, l.in)
		}
		if x.Release(); l.in != 0 {
			t.Errorf("%s: given back twice: %d", name, l.in)
		}
	}
}

// Content is taken apart in turn; little content does not wait.
func TestApart(t *testing.T) {
	l := &ledger{}
	x := &Exchange{Memory: Memory{Held: l}}
	for _, c := range []struct{ size, entered int }{{2 << 10, 0}, {3 << 10, 1}} {
		done := false
		x.Apart(c.size, func() {
			if done = true; l.turns != c.entered {
				t.Errorf("%d bytes: %d turns are taken, want %d", c.size, l.turns, c.entered)
			}
		})
		if !done || l.turns != 0 || l.entered != c.entered {
			t.Errorf("%d bytes: %v, %+v", c.size, done, l)
		}
	}
	none := &Exchange{}
	called := false
	if none.Apart(1<<20, func() { called = true }); !called {
		t.Error("without a bound nothing is done")
	}
}
