package match

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Paths are compared, and forwarded, in one form, so that a rule on /admin
// cannot be walked around as /x/../admin or /%61dmin (RFC 3986, section 6.2.2):
//
//   - escapes of unreserved characters are decoded, the hexadecimal digits of
//     others are upper case; %2F stays what it is, a slash inside a segment;
//   - dot segments, escaped or not, are resolved and cannot leave the root;
//   - empty segments stay: /a//b is not /a/b; but see Unveil.
//
// What has no such form is refused: an escape that is none, %00, a byte that
// must not be in a path, a backslash, and dot segments in a disguise that other
// programs see through ("..;", "..%3B", "..%2F", "%5C..").

// NormalizePath returns path in that form and true, or false when it has none.
// "*" is its own form. A changed path is in a's memory.
func NormalizePath(path string, a *mem.Arena) (string, bool) {
	if path == "" || path[0] != '/' {
		return path, path == "*"
	}
	if settled(path) {
		return path, true
	}
	for i := 1; i < len(path); i++ {
		if c := path[i]; c == '.' && path[i-1] == '/' || class[c] != plain {
			if n, ok := normalize(a.Alloc(len(path))[:0], path); ok {
				return mem.String(n), true
			}
			return "", false
		}
	}
	return path, true
}

// settled reports that path has nothing that NormalizePath could change. Where it
// does not, that is to be looked at byte by byte: a dot may be part of a name.
func settled(path string) bool {
	b := mem.Bytes(path)
	last := len(b) - 8
	if last < 0 {
		return false
	}
	for i := 0; i < last; i += 8 {
		if special(binary.LittleEndian.Uint64(b[i:])) != 0 {
			return false
		}
	}
	return special(binary.LittleEndian.Uint64(b[last:])) == 0
}

// special sets the top bit of some byte if x has a dot or one that is not plain. It
// takes '!', '"' and '$' for such too, which lie between those that are and are rare.
func special(x uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	low := x &^ highs
	other := (low + (0x80-'&')*ones) & ((low ^ '.'*ones) + 0x7f*ones) & ((low ^ '\\'*ones) + 0x7f*ones)
	return (x | ((low | 0x40*ones) + ones) | ^other) & highs // a question mark is DEL but for that bit
}

// Veiled reports whether path, which has been normalized, may have another form for
// programs that make more alike than RFC 3986 does; see Unveil.
func Veiled(path string) bool {
	return strings.IndexByte(path, ';') >= 0 || strings.IndexByte(path, '%') >= 0 || strings.Contains(path, "//") ||
		dotted(path) && (strings.Contains(path, "./") || path[len(path)-1] == '.')
}

// dotted reports whether path has a dot, which most have not: then there is less to look for.
func dotted(path string) bool { return strings.IndexByte(path, '.') >= 0 }

// Unveil returns path, which has been normalized, as such programs read it, and whether
// that is another one: empty segments are nothing, %2F and %5C are slashes, and neither
// what follows a semicolon nor a dot at the end is part of a segment. It is in a's memory.
func Unveil(path string, a *mem.Arena) (string, bool) {
	out := append(a.Alloc(len(path))[:0], '/')
	for i, parameter := 1, false; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			switch path[i+1 : i+3] {
			case "2F", "5C":
				c = '/'
			case "3B":
				c = ';'
			}
			if c != '%' {
				i += 2
			}
		}
		switch {
		case c == ';':
			parameter = true
		case c == '/':
			parameter = false
			if out = undotted(out); out[len(out)-1] != '/' {
				out = append(out, c)
			}
		case !parameter:
			out = append(out, c)
		}
	}
	out = undotted(out)
	return mem.String(out), len(out) != len(path)
}

// undotted returns out, which starts with a slash, without the dots at its end.
func undotted(out []byte) []byte {
	for out[len(out)-1] == '.' {
		out = out[:len(out)-1]
	}
	return out
}

// Unhost returns path, which has been normalized, unveiled and as programs read it that
// take it for a reference to a resource: what two slashes begin is a host's name then
// (RFC 3986, section 4.2), and //x/admin leads to /admin. It is empty where it is not so,
// and in a's memory.
func Unhost(path string, a *mem.Arena) string {
	if len(path) < 2 || path[:2] != "//" {
		return ""
	}
	host := strings.TrimLeft(path, "/")
	i := strings.IndexByte(host, '/')
	if i < 0 {
		return "" // the root, which is more often meant for host itself
	}
	path, _ = Unveil(host[i:], a)
	return path
}

// Unscript returns path, which has been normalized and unveiled, as frameworks of PHP read
// it behind a server that gives them index.php: what follows its name is their path, and
// /index.php/admin leads to /admin, /index.phpadmin too. It is empty where there is no such
// name, or nothing behind it, and in a's memory.
func Unscript(path string, a *mem.Arena) string {
	const script = "/index.php"
	if !dotted(path) {
		return ""
	}
	i := strings.Index(path, script)
	if i < 0 {
		return ""
	}
	rest := strings.TrimPrefix(path[i+len(script):], "/")
	if rest == "" {
		return ""
	}
	return a.Concat(path[:i+1], rest)
}

// CanonicalPath returns a path from the configuration as NormalizePath would
// make it. Bytes which no request can hold are escaped first; a path without a
// form stays as it is, and takes no request.
func CanonicalPath(path string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for i := range len(path) {
		if c := path[i]; class[c] == refused {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	var a mem.Arena
	if n, ok := NormalizePath(string(b), &a); ok {
		return n
	}
	return path
}

// Classes of bytes in a path.
const (
	plain   uint8 = iota // stands for itself
	escape               // the percent sign
	refused              // cannot be in a path
)

var class = func() (t [256]uint8) {
	for c := range t {
		if c <= ' ' || c >= 0x7f {
			t[c] = refused
		}
	}
	t['#'], t['?'], t['\\'], t['%'] = refused, refused, refused, escape
	return t
}()

// normalize appends the form of path, which starts with a slash, to out. It is
// never longer than path.
func normalize(out []byte, path string) ([]byte, bool) {
	out = append(out, '/')
	start := 1 // of the segment in out
	for i := 1; ; i++ {
		if i < len(path) && path[i] != '/' {
			switch class[path[i]] {
			case plain:
				out = append(out, path[i])
			case escape:
				c, ok := unescape(path, i)
				if !ok || c == 0 {
					return nil, false
				}
				out = appendEscaped(out, c)
				i += 2
			default:
				return nil, false
			}
			continue
		}
		switch segment := mem.String(out[start:]); {
		case segment == ".":
			out = out[:start]
		case segment == "..":
			out = parent(out[:start])
		case disguised(segment):
			return nil, false
		case i < len(path):
			out = append(out, '/')
		}
		if i == len(path) {
			return out, true
		}
		start = len(out)
	}
}

// parent removes the last segment of out, which ends in a slash.
func parent(out []byte) []byte {
	for n := len(out) - 1; n > 0; n-- {
		if out[n-1] == '/' {
			return out[:n]
		}
	}
	return out[:1]
}

// disguised reports a segment in which a program that takes %2F or %5C for a
// slash, or drops what follows a semicolon, finds a dot segment.
func disguised(segment string) bool {
	for rest := segment; ; {
		piece := rest
		i := 0
		for i+2 < len(rest) && rest[i:i+3] != "%2F" && rest[i:i+3] != "%5C" {
			i++
		}
		last := i+2 >= len(rest)
		if !last {
			piece, rest = rest[:i], rest[i+3:]
		}
		name, _, _ := strings.Cut(piece, ";")
		if name, _, _ = strings.Cut(name, "%3B"); name == "." || name == ".." { // another proxy may decode it
			return true
		}
		if last {
			return false
		}
	}
}

// unescape returns the byte that the escape at s[i] stands for.
func unescape(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, lo := hexes[s[i+1]], hexes[s[i+2]]
	return (hi-1)<<4 | (lo - 1), hi > 0 && lo > 0
}

// appendEscaped appends c decoded if it is unreserved (RFC 3986, section 2.3),
// else escaped.
func appendEscaped(out []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
		return append(out, c)
	}
	return append(out, '%', hex[c>>4], hex[c&15])
}

// hexes has the value of each hexadecimal digit plus one, and 0 for other bytes.
var hexes = func() (t [256]uint8) {
	for i := range uint8(10) {
		t['0'+i] = i + 1
	}
	for i := range uint8(6) {
		t['a'+i], t['A'+i] = i+11, i+11
	}
	return t
}()

// Prefix returns a path prefix in the form that HasPrefix takes: canonical and
// without slashes at its end, so that "/" is "".
func Prefix(prefix string) string { return strings.TrimRight(CanonicalPath(prefix), "/") }

// HasPrefix reports whether path is prefix or lies below it, element by
// element: /a takes /a, /a/ and /a/b, never /ab.
func HasPrefix(path, prefix string) bool {
	n := len(prefix)
	return len(path) >= n && (len(path) == n || path[n] == '/') && path[:n] == prefix
}

// comparePaths orders paths of one kind: longer prefixes first.
func comparePaths(a, b *table.PathMatch) int {
	if a.Kind != table.PathPrefix || b.Kind != table.PathPrefix {
		return 0
	}
	return cmp.Compare(len(Prefix(b.Value)), len(Prefix(a.Value)))
}
