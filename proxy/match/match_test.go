package match

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestNormalizePath(t *testing.T) {
	is := func(path, want string) {
		t.Helper()
		if got, ok := NormalizePath(path, new(mem.Arena)); got != want || !ok {
			t.Errorf("%q: %q, %v, want %q", path, got, ok, want)
		}
	}
	refused := func(path string) {
		t.Helper()
		if got, ok := NormalizePath(path, new(mem.Arena)); ok {
			t.Errorf("%q: %q, want it refused", path, got)
		}
	}
	is("/", "/")
	is("*", "*")
	is("/a/b", "/a/b")
	is("/a/b/", "/a/b/")
	is("/a//b", "/a//b")
	is("//a", "//a")
	is("/.well-known/x", "/.well-known/x")
	is("/a/..b/...", "/a/..b/...")
	is("/a.b/c.", "/a.b/c.")

	is("/.", "/")
	is("/..", "/")
	is("/../../a", "/a")
	is("/a/.", "/a/")
	is("/a/./b", "/a/b")
	is("/a/..", "/")
	is("/a/b/..", "/a/")
	is("/a/b/../", "/a/")
	is("/a/b/../../c", "/c")
	is("/x/../admin", "/admin")
	is("/a//../b", "/a/b")
	is("/.//a", "//a")

	is("/%61dmin", "/admin")
	is("/%7e%2D%5f%2e%41", "/~-_.A")
	is("/x/%2e%2E/admin", "/admin")
	is("/x/.%2e/admin", "/admin")
	is("/%2e/a", "/a")
	is("/a%2fb", "/a%2Fb")
	is("/a%2Fb", "/a%2Fb")
	is("/a%5cb", "/a%5Cb")
	is("/a%3bb;c", "/a%3Bb;c")
	is("/caf%c3%a9", "/caf%C3%A9")
	is("/%41%5a%61%7A%30%39", "/AZaz09")
	is("/%40%5b%60%7b%3a", "/%40%5B%60%7B%3A") // the neighbours of those
	is("/%2561", "/%2561")
	is("/%252e%252e/a", "/%252e%252e/a")
	is("/a%20b%0a", "/a%20b%0A")

	refused("")
	refused("a")
	refused("*a")
	refused("/%")
	refused("/%a")
	refused("/%zz")
	refused("/%2")
	refused("/%g1")
	refused("/%1g")
	refused("/%00")
	refused("/a%00.html")
	refused("/a\\b")
	refused("/a b")
	refused("/a\x00")
	refused("/caf\xc3\xa9")
	refused("/a?b")
	refused("/a#b")
	refused("/x/..;/admin")
	refused("/x/..;a=b/admin")
	refused("/x/..%3b/admin")
	refused("/x/%2e%3Ba;b/admin")
	refused("/x/.;/admin")
	refused("/x/..%2fadmin")
	refused("/x/%2e%2e%2Fadmin")
	refused("/x/..%5Cadmin")
	refused("/x%2f..%2fadmin")
	refused("/x%2f..")
	refused("/x%5c%2e%2e/admin")
	refused("/x/..;%2fadmin")
}

func TestUnveil(t *testing.T) {
	is := func(path, want string) {
		t.Helper()
		got, other := Unveil(path, new(mem.Arena))
		if got != want || other != (got != path) || other && !Veiled(path) {
			t.Errorf("%q: %q, %v, want %q", path, got, other, want)
		}
	}
	is("/", "/")
	is("/a/b/", "/a/b/")
	is("/a%20b", "/a%20b")
	is("//a", "/a")
	is("/a///b//", "/a/b/")
	is("/;x/a", "/a")
	is("/a;x=1;y/b;/c", "/a/b/c")
	is("/a%3Bx/b", "/a/b")
	is("/a%2Fb%5Cc", "/a/b/c")
	is("/a%2F", "/a/")
	is("/%5C%2F/a", "/a")
	is("/a;%2F%20", "/a/%20")
	is("/a;%2", "/a") // the form has no such escape
	is("/a%2", "/a%2")
	is("/a./b../c", "/a/b/c")
	is("/a.;x/b.", "/a/b")
	is("/a.%2Fb", "/a/b")
	is("/.../a", "/a")
	is("/.a/b.c", "/.a/b.c")
}

func TestUnhost(t *testing.T) {
	for path, want := range map[string]string{
		"//x/admin": "/admin", "///x//admin;a": "/admin", "//x.example:80/a./b": "/a/b", "//x/": "/", "//x": "", "//": "", "/x/admin": "", "/": "",
	} {
		if got := Unhost(path, new(mem.Arena)); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestUnscript(t *testing.T) {
	for path, want := range map[string]string{
		"/index.php/admin": "/admin", "/index.phpadmin": "/admin", "/index.php": "", "/index.php/": "", "/a/index.php/b/": "/a/b/",
		"/index.php/index.php/a": "/index.php/a", "/": "", "/index.ph": "", "/xindex.php/a": "", "/INDEX.PHP/a": "", "/a": "",
	} {
		if got := Unscript(path, new(mem.Arena)); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	is := func(path, want string) {
		t.Helper()
		if got := CanonicalPath(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	is("/a", "/a")
	is("/%61/caf\xc3\xa9 x", "/a/caf%C3%A9%20x")
	is("/100%", "/100%")
}

func TestPrefix(t *testing.T) {
	takes := func(prefix, path string, want bool) {
		t.Helper()
		if got := HasPrefix(path, Prefix(prefix)); got != want {
			t.Errorf("prefix %q, path %q: %v", prefix, path, got)
		}
	}
	takes("/", "/", true)
	takes("/", "/a", true)
	takes("/", "*", false)
	takes("/a", "/a", true)
	takes("/a", "/a/", true)
	takes("/a", "/a/b", true)
	takes("/a", "/ab", false)
	takes("/a", "/A", false)
	takes("/a/", "/a", true)
	takes("/a/", "/a/b", true)
	takes("/a/", "/ab", false)
	takes("/a/b", "/a", false)
}

func TestConditions(t *testing.T) {
	exact := func(name, v string) []table.ValueMatch { return []table.ValueMatch{{Name: name, Value: v}} }
	regex := func(name, v string) []table.ValueMatch {
		return []table.ValueMatch{{Name: name, Kind: table.ValueRegex, Value: v}}
	}
	x := &exchange.Exchange{}
	x.Request = exchange.Request{
		Method: "GET", Authority: "h:1", RawQuery: "a=1&b=x+%79&%63=3&c=4&d&=e&f=%zz",
		Header: exchange.Header{{Name: "X-One", Value: "1"}, {Name: "X-Many", Value: "a"}, {Name: "", Value: "gone"}, {Name: "x-many", Value: "b"}},
	}
	takes := func(m table.Match, want bool) {
		t.Helper()
		c, err := NewConditions(&m)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Match(x); got != want {
			t.Errorf("%+v: %v", m, got)
		}
	}
	headers := func(v []table.ValueMatch, want bool) { t.Helper(); takes(table.Match{Headers: v}, want) }
	queries := func(v []table.ValueMatch, want bool) { t.Helper(); takes(table.Match{Query: v}, want) }

	takes(table.Match{}, true)
	takes(table.Match{Method: "GET"}, true)
	takes(table.Match{Method: "get"}, false)
	headers(exact("x-one", "1"), true)
	headers(exact("x-one", "2"), false)
	headers(exact("x-two", ""), false)
	headers(append(exact("x-one", "1"), exact("x-two", "1")...), false)
	headers(regex("x-one", "[0-9]"), true)
	headers(regex("x-one", ""), false)
	headers(exact("x-many", "a"), false)
	headers(exact("x-many", "a,b"), true)
	headers(regex("x-many", "a"), false)
	headers(exact("host", "h:1"), true)
	queries(exact("a", "1"), true)
	queries(exact("A", "1"), false)
	queries(exact("b", "x y"), true)
	queries(exact("c", "3"), true)
	queries(exact("c", "4"), false)
	queries(exact("d", ""), true)
	queries(exact("e", ""), false)
	queries(exact("f", "%zz"), true)
	queries(regex("b", "x.y"), true)
	queries(regex("b", "x"), false)

	for _, m := range []table.Match{{Headers: regex("x-one", "(")}, {Query: regex("a", "[")}} {
		if _, err := NewConditions(&m); err == nil {
			t.Errorf("%+v is taken", m)
		}
	}
}

func TestPatternsMatchTheWhole(t *testing.T) {
	is := func(expr, s string, want bool) {
		t.Helper()
		p, err := NewPattern(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(s); got != want {
			t.Errorf("%q on %q: %v", expr, s, got)
		}
	}
	is("/a", "/a", true)
	is("/a", "/ab", false)
	is("/a|/b", "/bc", false)
	is("/a|/b", "/b", true)
	is("(?m)^/a$", "/a\n/b", false)
	is("^/a$", "/a", true)
	is("/ab?", "/a", true)
	is("/a+b*", "/aa", true)
	is("/a.*", "/a", true)
	is("/a.*", "/b", false)
	is("(?i)/ab", "/AB", true)
	is("/a(?i)b", "/aB", true)
	is("(/a)(/[0-9]+)?", "/a/1", true)
	is("/a/[0-9]+", "/a/b", false)
	is("", "", true)
	is(`\Q/a.b\E`, "/a.b", true)
	is(`\Q/a.b\E`, "/acb", false)
	for _, bad := range []string{"a)|(b", "(", `(?=a)`, `\1`} {
		if p, err := NewPattern(bad); err == nil {
			t.Errorf("%q compiles to %v", bad, p.re)
		}
	}
}

func TestCompare(t *testing.T) {
	exact := table.PathMatch{Kind: table.PathExact, Value: "/"}
	regex := table.PathMatch{Kind: table.PathRegex, Value: "/.*"}
	prefix := func(v string) table.PathMatch { return table.PathMatch{Kind: table.PathPrefix, Value: v} }
	one := []table.ValueMatch{{Name: "a"}}
	order := []table.Match{
		{Path: exact, Method: "GET"},
		{Path: exact},
		{Path: regex, Headers: one},
		{Path: regex, Query: one},
		{Path: regex},
		{Path: prefix("/a/b")},
		{Path: prefix("/a/"), Method: "GET"},
		{Path: prefix("/a"), Headers: append(one, one...)},
		{Path: prefix("/a"), Headers: one, Query: one},
		{Path: prefix("/a/"), Headers: one},
		{Path: prefix("/a"), Query: one},
		{Path: prefix("/a")},
		{Path: prefix("/")},
	}
	for i := range order {
		for k := range order {
			got := Compare(&order[i], &order[k])
			if i < k && got >= 0 || i == k && got != 0 || i > k && got <= 0 {
				t.Errorf("%+v against %+v: %d", order[i], order[k], got)
			}
		}
	}
}

var escapes = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// byTheBook is the form of a path by RFC 3986 to the letter: escapes of unreserved
// characters are decoded, others are upper case (6.2.2), dot segments are removed (5.2.4).
func byTheBook(path string) (out string) {
	path = escapes.ReplaceAllStringFunc(path, func(s string) string {
		c, _ := url.PathUnescape(s)
		if strings.Trim(c, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") == "" {
			return c
		}
		return strings.ToUpper(s)
	})
	for path != "" {
		switch {
		case path == "/.", path == "/..":
			path += "/"
		case strings.HasPrefix(path, "/./"):
			path = path[2:]
		case strings.HasPrefix(path, "/../"):
			path, out = path[3:], out[:max(0, strings.LastIndexByte(out, '/'))]
		default:
			n := 1 + strings.IndexByte(path[1:]+"/", '/')
			path, out = path[n:], out+path[:n]
		}
	}
	return out
}

// A path's form is that of RFC 3986 and its own form, holds no dot segment and no escape of an
// unreserved character, and is no longer than the path.
func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "*", "/a/../b", "/%2e%2e/x", "/a%2fb/..;/c", "/x/..%5Cy", "/.//..//a/.", "/%25%32%65", "/caf%C3%A9/%7E", "/%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := NormalizePath(path, new(mem.Arena))
		if !ok || got == "*" {
			return
		}
		if again, ok := NormalizePath(got, new(mem.Arena)); again != got || !ok {
			t.Fatalf("%q becomes %q becomes %q, %v", path, got, again, ok)
		}
		if len(got) > len(path) || got[0] != '/' {
			t.Fatalf("%q becomes %q", path, got)
		}
		if want := byTheBook(path); got != want {
			t.Fatalf("%q becomes %q, by the RFC %q", path, got, want)
		}
		for _, segment := range strings.Split(strings.ToLower(got), "/") {
			switch segment {
			case ".", "..", "%2e", "%2e%2e":
				t.Fatalf("%q becomes %q", path, got)
			}
		}
		plain, other := Unveil(got, new(mem.Arena))
		if other && !Veiled(got) || !other && plain != got {
			t.Fatalf("%q unveiled is %q", got, plain)
		}
		for i, segment := range strings.Split(plain, "/") {
			if segment == "." || segment == ".." || segment == "" && i > 0 && i < strings.Count(plain, "/") || strings.Contains(segment, ";") {
				t.Fatalf("%q unveiled is %q", got, plain)
			}
		}
		if canonical := CanonicalPath(path); canonical != got {
			t.Fatalf("%q becomes %q, from the configuration %q", path, got, canonical)
		}
	})
}

// What settled lets pass at a glance is what a look at each byte finds nothing in.
func TestSettled(t *testing.T) {
	is := func(path string, want bool) {
		t.Helper()
		if got := settled(path); got != want {
			t.Fatalf("%q: %v, want %v", path, got, want)
		}
	}
	is("/a/b/c", false) // too short for a glance
	for size := 8; size < 18; size++ {
		for at := 1; at < size; at++ {
			for c := range 256 {
				b := bytes.Repeat([]byte{'/'}, size)
				b[at] = byte(c)
				is(string(b), class[c] == plain && !strings.ContainsRune(`.!"$`, rune(c)))
			}
		}
	}
}
