package extauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// The bounds of what an answer may have set.
const (
	maxEdits = 100
	maxValue = 16 << 10
)

// answered reads an HTTP service's answer: 200 allows, 5xx is no answer, and
// whatever else it says refuses.
func (s *Service) answered(a *remote.Answer) (auth.Result, error) {
	switch {
	case a.Status >= 500:
		return auth.Result{}, fmt.Errorf("extauth: it answered %d", a.Status)
	case a.Status == http.StatusOK:
		return s.allowed(a)
	}
	out := &auth.Answer{Status: refusal(a.Status), Type: a.Header.Get("Content-Type")}
	if len(a.Content) > 0 || redirects(out.Status) {
		out.Content = append([]byte{}, a.Content...)
	}
	for _, name := range names(a.Header) {
		lower := strings.ToLower(name)
		if !takes(s.t.ToClient, lower) || hop(lower) || lower == "content-type" || out.Content == nil && strings.HasPrefix(lower, "content-") {
			continue
		}
		for _, v := range a.Header[name] {
			if !printable(v) {
				return auth.Result{}, fmt.Errorf("%w: its field %s has a control character", errInvalid, name)
			}
			out.Header.Add(name, v)
		}
	}
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeExternal, Answer: out}, nil
}

// allowed is an answer of 200, whose fields may go on to the backend. Not among
// them are those that describe the answer itself: they would be false of the request.
func (s *Service) allowed(a *remote.Answer) (auth.Result, error) {
	out := &auth.Answer{Drop: s.own}
	all := slices.Contains(s.t.ToBackend, "*")
	for _, name := range names(a.Header) {
		lower := strings.ToLower(name)
		if !takes(s.t.ToBackend, lower) || hop(lower) || all && strings.HasPrefix(lower, "content-") {
			continue
		}
		for i, v := range a.Header[name] {
			if err := edit(out, lower, v, ways[min(i, 1)]); err != nil {
				return auth.Result{}, err
			}
		}
	}
	if len(out.Edits)+len(out.Drop) == 0 {
		return auth.Result{Outcome: auth.Accepted}, nil
	}
	return auth.Result{Outcome: auth.Accepted, Answer: out}, nil
}

// own returns those of the fields in to which nobody but the service sets. A
// credential it leaves alone is the caller's; any other field the backend is to
// trust comes from the service or not at all.
func own(to []string) (names []string) {
	for _, name := range to {
		if name != "*" && name != "authorization" && name != "cookie" && !hop(name) {
			names = append(names, name)
		}
	}
	return names
}

// ways is how the lines of a field are set: the first in place of the caller's.
var ways = [2]auth.How{auth.Set, auth.Add}

// names returns the names of h in an order that is always the same.
func names(h http.Header) (out []string) {
	for name := range h {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// takes reports whether a list has a field, which is lower case.
func takes(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, "*")
}

// edit adds a change to a, if it is one that may be made.
func edit(a *auth.Answer, name, value string, how auth.How) error {
	name = strings.ToLower(name)
	switch {
	case !token(name):
		return fmt.Errorf("%w: %q is no field name", errInvalid, name)
	case hop(name):
		return fmt.Errorf("%w: the gateway itself sets %s", errInvalid, name)
	case !printable(value) || len(value) > maxValue:
		return fmt.Errorf("%w: the value of %s has a control character, or is too long", errInvalid, name)
	case len(a.Edits) == maxEdits:
		return fmt.Errorf("%w: it sets more than %d fields", errInvalid, maxEdits)
	}
	a.Edits = append(a.Edits, auth.Edit{Value: value, How: how})
	a.Names = append(a.Names, name)
	return nil
}

// token reports whether s is a field name (RFC 9110, section 5.6.2).
func token(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(marks, r)
	})
}

// printable reports whether s can stand in a field: no control character but a
// tab (RFC 9110, section 5.5).
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// refusal is the status a refused caller gets for the service's: that, unless it
// would say that all is well.
func refusal(status int) int {
	if status >= 400 && status < 600 || redirects(status) {
		return status
	}
	return http.StatusForbidden
}

func redirects(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}
