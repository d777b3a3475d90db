package httpsig

import (
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// known reports whether a component can be covered: a derived one (RFC 9421,
// section 2.2) or the name of a header field in lower case.
func known(name string) bool {
	switch name {
	case "@method", "@authority", "@scheme", "@target-uri", "@request-target", "@path", "@query":
		return true
	case "signature", "signature-input", "":
		return false
	}
	const marks = "!#$%&'*+-.^_`|~"
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && !strings.ContainsRune(marks, r)
	})
}

// component returns the value of a component; false when the request has no such
// field.
func component(q *exchange.Request, name string) (string, bool) {
	switch name {
	case "@method":
		return q.Method, true
	case "@authority":
		return authority(q), true
	case "@scheme":
		return q.Scheme, true
	case "@target-uri":
		return q.Scheme + "://" + authority(q) + target(q), true
	case "@request-target":
		return target(q), true
	case "@path":
		return path(q), true
	case "@query":
		return "?" + q.RawQuery, true
	}
	return field(q, name)
}

// path is the path as it was sent, nothing of it decoded (section 2.2.6): the signer knows
// no other form of it.
func path(q *exchange.Request) string {
	if q.Sent != "" {
		return q.Sent
	}
	return q.Path
}

// target is path with the query.
func target(q *exchange.Request) string {
	sent := exchange.Request{Path: path(q), RawQuery: q.RawQuery, TargetForm: exchange.TargetForm{EmptyQuery: q.EmptyQuery}}
	return sent.Target()
}

// authority is the host, in lower case, and the port unless it goes without saying
// (section 2.2.3).
func authority(q *exchange.Request) string {
	a := strings.ToLower(q.Authority)
	if q.Scheme == "https" {
		return strings.TrimSuffix(a, ":443")
	}
	return strings.TrimSuffix(a, ":80")
}

// field returns a field's lines, each without space around it, joined (section 2.1).
func field(q *exchange.Request, name string) (string, bool) {
	switch { // what frames the request is not among its fields
	case name == "host":
		return q.Authority, true
	case name == "content-length" && q.ContentLength >= 0:
		return strconv.FormatInt(q.ContentLength, 10), true
	}
	out, found := "", false
	for i := range q.Header {
		f := &q.Header[i]
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if found {
			out += ", "
		}
		out += strings.Trim(f.Value, " \t")
		found = true
	}
	return out, found
}
