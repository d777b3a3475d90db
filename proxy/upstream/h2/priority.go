package h2

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// tame removes Priority fields that are no dictionaries. A receiver may ignore those (RFC 9218,
// section 4), and some that do not, such as Tomcat before 10.1.40, read nothing more from the
// connection, which other callers share.
func tame(h exchange.Header) {
	for i := range h {
		const name = "priority"
		if len(h[i].Name) == len(name) && mem.EqualFold(h[i].Name, name) && !dictionary(h[i].Value) {
			h[i].Name = ""
		}
	}
}

// dictionary reports whether v is one of numbers, truths and tokens without parameters
// (RFC 9651, section 3.2), as priorities are.
func dictionary(v string) bool {
	for more := v != ""; more; {
		var member string
		member, v, more = strings.Cut(v, ",")
		key, value, valued := strings.Cut(strings.Trim(member, " \t"), "=")
		if !all(key, "abcdefghijklmnopqrstuvwxyz*", "0123456789_-.") {
			return false
		}
		if valued && value != "?0" && value != "?1" && !number(value) && !all(value, letters, "0123456789!#$%&'+-.^_`|~:/") {
			return false
		}
	}
	return true
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*"

// all reports whether s is one of first and then any of first and rest.
func all(s, first, rest string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(first, s[i]) < 0 && (i == 0 || strings.IndexByte(rest, s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// number reports whether s is an integer of at most 15 digits.
func number(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return len(s) <= 15 && all(s, "0123456789", "")
}
