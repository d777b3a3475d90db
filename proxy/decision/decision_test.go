package decision

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func exchangeOf(id uint64, code string) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Request.Method, x.Request.Host, x.Request.Path, x.Request.RawQuery = "GET", "a.example.com", "/orders", "access_token=planted-secret"
	x.Request.Header.Add("Authorization", "Bearer planted-secret")
	x.Response.Code, x.Trace.ID = code, id
	return x
}

func TestFind(t *testing.T) {
	l := NewLog()
	for i := range uint64(kept + 10) {
		l.Add(exchangeOf(i+1, "no_route"))
	}
	l.Add(exchangeOf(1<<40, ""))
	find := func(id uint64, want bool) {
		t.Helper()
		if r := l.Find(fmt.Sprintf("%016x", id)); (r != nil) != want {
			t.Errorf("%x: found %v, want %v", id, r, want)
		}
	}
	find(10, false) // pushed out
	find(11, true)
	find(kept+10, true)
	find(1<<40, true)
	find(0, false)
	if last := l.Last(3); len(last) != 3 || last[0].ID != fmt.Sprintf("%016x", kept+10) {
		t.Errorf("last: %v", last)
	}
	if all := l.Last(1 << 20); len(all) != kept+1 {
		t.Errorf("%d records", len(all))
	}
}

func TestRecordsHoldNoCredentials(t *testing.T) {
	if s := fmt.Sprintf("%+v", *Of(exchangeOf(1, "no_route"))); len(s) == 0 || strings.Contains(s, "planted-secret") {
		t.Error(s)
	}
}

// TestLongTextsEndWhole: what is cut off never leaves a part of a character.
func TestLongTextsEndWhole(t *testing.T) {
	for _, c := range []string{"a", "é", "€", "😀"} {
		for lead := range 4 {
			x := exchangeOf(1, "no_route")
			x.Principal.Subject = strings.Repeat("a", lead) + strings.Repeat(c, maxText)
			got, cut := strings.CutSuffix(Of(x).Caller.Subject, "…")
			if whole := maxText - len(got); !utf8.ValidString(got) || whole < 0 || whole >= utf8.UTFMax || !cut != (len(x.Principal.Subject) <= maxText) {
				t.Errorf("%d and %s: %d bytes, %q", lead, c, len(got), got[max(0, len(got)-8):])
			}
		}
	}
	x := exchangeOf(1, "no_route")
	x.Request.Path = strings.Repeat("\x80", 2*maxText) // no text at all
	if got := Of(x).Request.Path; len(got) > maxText+len("…") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestSample(t *testing.T) {
	l, now, n := NewLog(), time.Unix(100, 0), 0
	for range 100 {
		if l.Sample(now) {
			n++
		}
	}
	if n != samplesPerSecond {
		t.Errorf("%d samples in a second", n)
	}
	if !l.Sample(now.Add(time.Second)) {
		t.Error("none in the next")
	}
}

func TestConcurrentUse(t *testing.T) {
	l := NewLog()
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(2 * kept) {
				l.Add(exchangeOf(w<<32+i+1, "no_route"))
				l.Find("0000000000000001")
			}
		})
	}
	wg.Wait()
	if n := len(l.Last(2 * kept)); n != kept {
		t.Errorf("%d records", n)
	}
}
