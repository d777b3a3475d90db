package exchange

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestReplyIsAProblemDocument(t *testing.T) {
	var x Exchange
	x.ReplyViolations(422, "body_invalid", "a \"quoted\"\nline\\", []Violation{{"/a", "is\tmissing"}, {"/b\\u0041", "<too> big"}})
	var got struct {
		Type, Title, Code, Detail, ID string
		Status                        int
		Errors                        []Violation
	}
	if err := json.Unmarshal(x.Response.Body, &got); err != nil {
		t.Fatalf("%v in %s", err, x.Response.Body)
	}
	if got.Type != "about:blank" || got.Title != "Unprocessable Content" || got.Status != 422 || got.Code != "body_invalid" || got.Detail != "a \"quoted\"\nline\\" {
		t.Errorf("got %+v", got)
	}
	if len(got.Errors) != 2 || got.Errors[1] != (Violation{"/b\\u0041", "<too> big"}) {
		t.Errorf("errors %+v", got.Errors)
	}
	if id := string(AppendID(nil, x.Trace.ID)); got.ID != id || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(id) || x.Trace.ID == 0 {
		t.Errorf("id %q, trace %q", got.ID, id)
	}
	if x.Response.ContentLength != int64(len(x.Response.Body)) {
		t.Errorf("content length %d of %d", x.Response.ContentLength, len(x.Response.Body))
	}
}

func TestReplyIsAPageForABrowser(t *testing.T) {
	form := func(accept string) string {
		var x Exchange
		x.Request.Header.Add("Accept", accept)
		x.ReplyViolations(404, "no_route", "<nothing> & more", []Violation{{"/<q>", `"`}})
		if got, _ := x.Response.Header.Get("content-type"); strings.HasPrefix(got, "text/html") {
			return string(x.Response.Body)
		}
		return ""
	}
	if page := form("text/html,application/xhtml+xml,*/*;q=0.8"); !strings.Contains(page, "&lt;nothing&gt; &amp; more") || !strings.Contains(page, "&quot;") || !strings.Contains(page, "/&lt;q&gt;") || strings.Contains(page, "<nothing>") {
		t.Errorf("page %q", page)
	}
	for _, accept := range []string{"*/*", "", "application/json, text/html", "application/problem+json"} {
		if form(accept) != "" {
			t.Errorf("Accept %q got a page", accept)
		}
	}
}

func TestReplyDoesNotAllocate(t *testing.T) {
	var x Exchange
	x.Reply(404, "no_route", "no route takes this request")
	if n := testing.AllocsPerRun(100, func() {
		x.Reset()
		x.Reply(404, "no_route", "no route takes this request")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
