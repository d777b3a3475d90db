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

func TestLife(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ notBefore, expires, want string }{
		{"", "", "  <nil>"},
		{"12h", "", "2026-11-26T00:00:00Z  <nil>"},
		{"", "12h", " 2026-11-26T00:00:00Z <nil>"},
		{"2020-01-01T00:00:00Z", "12h", "2020-01-01T00:00:00Z 2026-11-26T00:00:00Z <nil>"},
		{"soon", "", `  --not-before: "soon" is neither a time such as 2027-01-31T00:00:00Z nor a span such as 12h or 30d`},
		{"", "0s", "  --expires: 2026-11-25T12:00:00Z is no later than when it begins to count: the key would never count"},
		{"10d", "1d", "  --expires: 2026-11-26T12:00:00Z is no later than when it begins to count: the key would never count"},
		{"2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "  --expires: 2021-01-01T00:00:00Z is no later than when it begins to count: the key would never count"},
	} {
		from, until, err := Life(tc.notBefore, tc.expires, now)
		if got := fmt.Sprint(from, " ", until, " ", err); got != tc.want {
			t.Errorf("%q, %q: %s\nwant %s", tc.notBefore, tc.expires, got, tc.want)
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
