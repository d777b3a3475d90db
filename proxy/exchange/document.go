package exchange

import "strconv"

const hexDigits = "0123456789abcdef"

// document writes the content of our own answers: JSON without encoding/json,
// which reflects, and HTML without html/template, which does too.
type document struct{ buf []byte }

func (d *document) raw(s string) { d.buf = append(d.buf, s...) }

func (d *document) number(n int) { d.buf = strconv.AppendInt(d.buf, int64(n), 10) }

// problem writes a problem document (RFC 9457).
func (d *document) problem(r *Response, detail, id string, list []Violation) {
	d.raw(`{"type":"about:blank","title":`)
	d.text(StatusText(r.Status))
	d.raw(`,"status":`)
	d.number(r.Status)
	d.raw(`,"code":`)
	d.text(r.Code)
	if detail != "" {
		d.raw(`,"detail":`)
		d.text(detail)
	}
	d.raw(`,"id":`)
	d.text(id)
	if len(list) > 0 {
		d.raw(`,"errors":[`)
		for i := range list {
			if i > 0 {
				d.raw(",")
			}
			d.raw(`{"pointer":`)
			d.text(list[i].Pointer)
			d.raw(`,"message":`)
			d.text(list[i].Message)
			d.raw("}")
		}
		d.raw("]")
	}
	d.raw("}\n")
}

// text writes a JSON string.
func (d *document) text(s string) {
	d.buf = append(d.buf, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			d.buf = append(d.buf, '\\', c)
		case c < ' ':
			d.buf = append(d.buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			d.buf = append(d.buf, c)
		}
	}
	d.buf = append(d.buf, '"')
}

// page writes the same for a person.
func (d *document) page(r *Response, detail, id string, list []Violation) {
	d.raw(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>`)
	d.number(r.Status)
	d.raw(" ")
	d.escaped(StatusText(r.Status))
	d.raw(`</title><style>body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}small{color:#666}</style><h1>`)
	d.number(r.Status)
	d.raw(" ")
	d.escaped(StatusText(r.Status))
	d.raw("</h1><p>")
	d.escaped(detail)
	d.raw("</p>")
	if len(list) > 0 {
		d.raw("<ul>")
		for i := range list {
			d.raw("<li><code>")
			d.escaped(list[i].Pointer)
			d.raw("</code> ")
			d.escaped(list[i].Message)
		}
		d.raw("</ul>")
	}
	d.raw("<small>")
	d.escaped(r.Code)
	d.raw(" &middot; ")
	d.escaped(id)
	d.raw("</small>\n")
}

// escaped writes text into HTML.
func (d *document) escaped(s string) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '<':
			d.raw("&lt;")
		case '>':
			d.raw("&gt;")
		case '&':
			d.raw("&amp;")
		case '"':
			d.raw("&quot;")
		default:
			d.buf = append(d.buf, c)
		}
	}
}
