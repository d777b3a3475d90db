package keytext

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

func TestKeyTexts(t *testing.T) {
	form := regexp.MustCompile(`^ghk_[0-9A-Za-z]{49}$`)
	seen := map[string]bool{}
	for range 200 {
		text, err := New()
		if err != nil {
			t.Fatal(err)
		}
		body := text[len(prefix) : len(prefix)+keyDigits]
		if !form.MatchString(text) || checksum(body) != text[len(text)-sumDigits:] || seen[text] {
			t.Errorf("%q", text)
		}
		seen[text] = true
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"2027-01-31T00:00:00Z": "2027-01-31T00:00:00Z", "12h": "2026-11-26T00:00:00Z", "7d": "2026-12-02T12:00:00Z", "0s": "2026-11-25T12:00:00Z"} {
		if got, err := Moment(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "-1h", "-3d", "1.5d", "99999999d", "2027-01-31"} {
		if got, err := Moment(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestNumbered(t *testing.T) {
	for name, want := range map[string]string{"acme": "acme 1", "acme-2": "acme 2", "acme-1": "acme-1 1", "acme-x-17": "acme-x 17", "-3": "-3 1", "a-1000000": "a-1000000 1"} {
		base, n := Numbered(name)
		if got := fmt.Sprint(base, " ", n); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
