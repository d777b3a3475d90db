package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	line := func(rss ...int64) (out []sample) {
		for i, n := range rss {
			out = append(out, sample{Seconds: float64(i), RSS: n << 20})
		}
		return out
	}
	for _, c := range []struct {
		samples     []sample
		grown, mean float64 // MiB
	}{
		{line(), 0, 0},
		{line(7), 0, 0},
		{line(10, 10, 10, 10), 0, 10},
		{line(10, 20, 30, 40), 30, 25},
		{line(10, 30, 30, 10), 0, 20},
	} {
		if grown, mean := growth(c.samples); grown/(1<<20) != c.grown || mean/(1<<20) != c.mean {
			t.Errorf("%v: grown by %v, mean %v", c.samples, grown/(1<<20), mean/(1<<20))
		}
	}
}

// A gateway that leaks is found out.
func TestJudge(t *testing.T) {
	rest := sample{RSS: 60 << 20, Goroutines: 30, Files: 40}
	long := func(last int64) (out []sample) {
		for i := range int64(100) {
			out = append(out, sample{Seconds: float64(i), RSS: 60<<20 + last*i/100})
		}
		return out
	}
	for name, c := range map[string]struct {
		after   sample
		samples []sample
		want    string
	}{
		"flat":       {rest, long(4 << 20), ""},
		"goroutines": {sample{RSS: 60 << 20, Goroutines: 60, Files: 40}, long(0), "at rest"},
		"files":      {sample{RSS: 60 << 20, Goroutines: 30, Files: 60}, long(0), "at rest"},
		"memory":     {sample{RSS: 160 << 20, Goroutines: 30, Files: 40}, long(0), "at rest"},
		"growing":    {rest, long(200 << 20), "memory grew"},
		"too short":  {rest, long(200 << 20)[:50], ""},
	} {
		w := &watch{samples: c.samples}
		got := strings.Join(w.judge(rest, c.after), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What a path led to counts a while longer; what it never led to does not.
func TestLed(t *testing.T) {
	s := &site{allowed: map[string][]since{}}
	s.lead("/p", "a", "b")
	s.lead("/p", "c")
	now := time.Now()
	for _, c := range []struct {
		backend string
		began   time.Time
		want    bool
	}{{"c", now, true}, {"a", now, true}, {"d", now, false}, {"a", now.Add(2 * grace), false}, {"c", now.Add(2 * grace), true}} {
		if got := s.led("/p", c.backend, c.began); got != c.want {
			t.Errorf("%s at %v: %v", c.backend, c.began.Sub(now), got)
		}
	}
}

// What is wrong is counted and named.
func TestNote(t *testing.T) {
	l := &load{per: map[string]int64{}, wrong: map[string]int64{}}
	for _, err := range []error{nil, errors.New("first"), errors.New("first")} {
		l.note("x", err)
	}
	if got := l.faults(); !slices.Equal(got, []string{"2 times x: first"}) || l.counts()["x"] != 1 {
		t.Errorf("%v, %v", got, l.counts())
	}
}
