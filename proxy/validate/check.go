package validate

import (
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// check is a table.Check, ready to run.
type check struct {
	source  int
	methods []string // empty: all
	maxBody int64    // 0: no limit of its own
	types   []string // media types in lower case, "application/*" among them; empty: any
	accept  string   // types as a header value
	headers []parameter
	query   []parameter
	schema  *form
}

func (c *check) meant(method string) bool {
	return len(c.methods) == 0 || slices.Contains(c.methods, method)
}

// limit is the most content the check lets through; -1 for any.
func (c *check) limit() int64 {
	switch {
	case c.maxBody > 0:
		return c.maxBody
	case c.schema != nil:
		return maxBuffered
	}
	return -1
}

// contentType checks the type of the content, if there is content. With a schema
// it must be JSON and not compressed: what cannot be checked does not pass.
func (c *check) contentType(x *exchange.Exchange) *refusal {
	if x.Request.Body == nil || len(c.types) == 0 && c.schema == nil {
		return nil
	}
	h := x.Request.Header
	value, there := h.Get("content-type")
	detail := ""
	switch {
	case !there:
		detail = "the content needs a Content-Type"
	case h.Count("content-type") > 1:
		detail = "Content-Type is there more than once"
	case len(c.types) > 0 && !slices.ContainsFunc(c.types, func(t string) bool { return isType(value, t) }):
		detail = "content of this type is not accepted"
	case c.schema != nil && !isJSON(value):
		detail = "content must be JSON"
	case c.schema != nil && !legible(value):
		detail = "content must be in UTF-8"
	case c.schema != nil && encoded(h):
		detail = "content must not be compressed"
	default:
		return nil
	}
	accept := c.accept
	if accept == "" {
		accept = "application/json"
	}
	return &refusal{status: 415, code: CodeContentType, detail: detail, source: c.source, accept: accept}
}

// isType reports whether a Content-Type value is of a media type, which is in
// lower case and may end in "/*". Parameters do not count.
func isType(value, want string) bool {
	got := exchange.MediaType(value)
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return len(got) > len(prefix) && mem.EqualFold(got[:len(prefix)], prefix)
	}
	return mem.EqualFold(got, want)
}

func isJSON(value string) bool {
	got := exchange.MediaType(value)
	const suffix = "+json"
	return mem.EqualFold(got, "application/json") || len(got) > len(suffix) && mem.EqualFold(got[len(got)-len(suffix):], suffix)
}

// legible reports whether who goes by the charset of a Content-Type finds the texts
// of JSON where who reads UTF-8 does, which JSON is in: RFC 8259 has no such
// parameter, but there are readers that heed it. In GBK a backslash may be the second
// half of a character, and no longer keep a quotation mark from ending a text. Nobody
// writes a charset in the forms of RFC 2231, "charset*" and "charset*0", but some of
// these readers know them.
func legible(value string) bool {
	_, parameters, _ := strings.Cut(value, ";")
	for p := range strings.SplitSeq(parameters, ";") {
		name, charset, _ := strings.Cut(p, "=")
		name, _, extended := strings.Cut(strings.Trim(name, " \t"), "*")
		if !mem.EqualFold(name, "charset") {
			continue
		}
		if extended {
			return false
		}
		switch strings.ToLower(strings.Trim(charset, " \t\"'")) {
		case "utf-8", "utf8", "us-ascii", "iso-8859-1":
		default:
			return false
		}
	}
	return true
}

func encoded(h exchange.Header) bool {
	v, there := h.Get("content-encoding")
	return there && (!mem.EqualFold(v, "identity") || h.Count("content-encoding") > 1)
}

// parameters appends what is wrong with the header fields and query parameters.
func (c *check) parameters(x *exchange.Exchange, list []exchange.Violation) []exchange.Violation {
	for i := range c.headers {
		p := &c.headers[i]
		n := 0
		for j := range x.Request.Header {
			f := &x.Request.Header[j]
			if len(f.Name) == len(p.name) && mem.EqualFold(f.Name, p.name) {
				n++
				list = p.append(list, f.Value)
			}
		}
		list = p.missing(list, n)
	}
	for i := range c.query {
		p := &c.query[i]
		n := 0
		for rest := x.Request.RawQuery; rest != ""; {
			var key, value string
			key, value, rest = exchange.CutParameter(rest)
			if exchange.EqualDecoded(key, p.name) {
				n++
				list = p.append(list, x.DecodeParameter(value))
			}
		}
		list = p.missing(list, n)
	}
	return list
}
