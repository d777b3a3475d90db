package wire

import (
	"net/netip"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// target sorts out the form of h.Target (RFC 9112, section 3.2): origin-form,
// absolute-form, or asterisk-form for OPTIONS. h.Path holds what is before the
// question mark.
func target(h *RequestHead) *exchange.Error {
	switch {
	case h.Method == "CONNECT":
		return errConnect
	case h.Path == "":
		return errTarget
	case h.Path[0] == '/':
		return nil
	case h.Target == "*":
		if h.Method != "OPTIONS" {
			return errTarget
		}
		return nil
	}
	if p := h.Path; len(p) > 7 && mem.EqualFold(p[:7], "http://") {
		h.Scheme, h.Path = "http", p[7:]
	} else if len(p) > 8 && mem.EqualFold(p[:8], "https://") {
		h.Scheme, h.Path = "https", p[8:]
	} else {
		return errTarget
	}
	return absolute(h)
}

// absolute splits h.Path, a target without its scheme, into authority and path.
func absolute(h *RequestHead) *exchange.Error {
	i := 0
	for i < len(h.Path) && h.Path[i] != '/' {
		i++
	}
	h.Authority, h.Path = h.Path[:i], h.Path[i:]
	if !validAuthority(h.Authority) {
		return errTarget
	}
	h.Authority = withoutEmptyPort(h.Authority)
	if h.Path == "" {
		h.Path = "/"
		if h.Method == "OPTIONS" && h.RawQuery == "" && !h.EmptyQuery {
			h.Path = "*" // RFC 9112, section 3.2.4
		}
	}
	return nil
}

// authority settles who the request is for. An absolute-form target would win
// over Host (RFC 9112, section 3.2.2); since a program behind us could read it
// the other way, the two must agree.
func (h *RequestHead) authority(f *fields) *exchange.Error {
	if f.hosts == 0 {
		if h.Minor == 1 {
			return errHostMissing
		}
		return nil
	}
	if f.badHost {
		return errHost
	}
	host := withoutEmptyPort(f.host)
	if h.Authority != "" && !mem.EqualFold(h.Authority, host) {
		return errHostDiffers
	}
	h.Authority = host
	return nil
}

// withoutEmptyPort returns a valid authority without a colon that no port follows: that
// is the same authority (RFC 3986, section 6.2.3), and not all programs read it so.
func withoutEmptyPort(s string) string {
	if n := len(s); n > 0 && s[n-1] == ':' {
		return s[:n-1]
	}
	return s
}

// validAuthority reports whether s is host[:port] (RFC 3986, section 3.2)
// without user information. Narrower than that: no empty host, and host names of
// unreserved characters only.
func validAuthority(s string) bool {
	i := 0
	if len(s) > 0 && s[0] == '[' {
		if i = closing(s); i == 0 {
			return false
		}
	} else {
		i = nameEnd(mem.Bytes(s), 0, isHost)
	}
	// A dot alone is the root of the DNS; without it nothing of a name is left.
	return i > 0 && s[:i] != "." && (i == len(s) || s[i] == ':' && validPort(s[i+1:]))
}

// closing returns the index behind the IP literal that s starts with, or 0.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == ']':
			if a, err := netip.ParseAddr(s[1:i]); err != nil || !a.Is6() {
				return 0
			}
			return i + 1
		case hexes[c] == 0 && c != ':' && c != '.' || i > 45:
			return 0
		}
	}
	return 0
}

func validPort(s string) bool {
	if len(s) > 5 {
		return false
	}
	n := 0
	for i := range len(s) {
		if class[s[i]]&isDigit == 0 {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}
