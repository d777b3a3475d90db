package exchange

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestQuery(t *testing.T) {
	is := func(raw, name, want string, count int) {
		t.Helper()
		x := &Exchange{Request: Request{RawQuery: raw}}
		if got, n := x.Query(name); got != want || n != count {
			t.Errorf("%q %q: %q, %d; want %q, %d", raw, name, got, n, want, count)
		}
	}
	is("", "a", "", 0)
	is("a", "a", "", 1)
	is("a=1&b=2", "b", "2", 1)
	is("a=1&a=2", "a", "1", 2)
	is("a=x%20y+z&", "a", "x y z", 1)
	is("%61=1&+=2", "a", "1", 1)
	is("%61=1&+=2", " ", "2", 1)
	is("a=b=c", "a", "b=c", 1)
	is("a%=1&a%g1=2", "a%", "1", 1)
	is("A=1", "a", "", 0)
	is("ab=1", "a", "", 0)
}

// For queries that net/url takes, we read the same.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=%20+x&a=2&%61")
	f.Add("=&&a==%41")
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, ";") {
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		x := &Exchange{Request: Request{RawQuery: raw}}
		for name, want := range values {
			n, first := 0, ""
			if first, n = x.Query(name); n != len(want) && name != "" || n > 0 && first != want[0] && name != "" {
				t.Fatalf("%q %q: %q, %d; net/url has %q", raw, name, first, n, want)
			}
		}
	})
}

func TestReplyViolations(t *testing.T) {
	x := &Exchange{}
	x.ReplyViolations(422, "body_invalid", "no", []Violation{{"/a", "x \"y\" \n"}, {"", "z"}})
	var doc struct {
		Type, Title, Code, Detail string
		Status                    int
		Errors                    []Violation
	}
	if err := json.Unmarshal(x.Response.Body, &doc); err != nil {
		t.Fatalf("%s: %v", x.Response.Body, err)
	}
	if doc.Status != 422 || doc.Title != "Unprocessable Content" || doc.Code != "body_invalid" || len(doc.Errors) != 2 || doc.Errors[0].Message != "x \"y\" \n" {
		t.Errorf("%+v", doc)
	}
	if v, _ := x.Response.Header.Get("content-type"); v != "application/problem+json" {
		t.Error(v)
	}
}
