package filter

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestPath(t *testing.T) {
	apply := func(edit table.PathEdit, path, want string) {
		t.Helper()
		p, err := NewPath(&edit)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Apply(path, new(mem.Arena)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	prefix := func(path, matched, prefix, want string) {
		t.Helper()
		apply(table.PathEdit{Prefix: &prefix, Matched: matched}, path, want)
	}
	full := func(value, want string) {
		t.Helper()
		apply(table.PathEdit{Full: &value}, "/foo/bar", want)
	}
	// The table of HTTPPathModifier.replacePrefixMatch in Gateway API.
	prefix("/foo/bar", "/foo", "/xyz", "/xyz/bar")
	prefix("/foo/bar", "/foo", "/xyz/", "/xyz/bar")
	prefix("/foo/bar", "/foo/", "/xyz", "/xyz/bar")
	prefix("/foo/bar", "/foo/", "/xyz/", "/xyz/bar")
	prefix("/foo", "/foo", "/xyz", "/xyz")
	prefix("/foo/", "/foo", "/xyz", "/xyz/")
	prefix("/foo/bar", "/foo", "", "/bar")
	prefix("/foo/", "/foo", "", "/")
	prefix("/foo", "/foo", "", "/")
	prefix("/foo/", "/foo", "/", "/")
	prefix("/foo", "/foo", "/", "/")

	prefix("/foo", "/foo", "/xyz/", "/xyz/")
	prefix("/foo/bar", "/", "/xyz", "/xyz/foo/bar")
	prefix("/", "/", "/xyz", "/xyz/")
	prefix("/foo//bar", "/foo", "/xyz/", "/xyz//bar")
	prefix("/foo/bar", "/foo", "xyz", "/xyz/bar")
	prefix("/foobar", "/foo", "/xyz", "/foobar")
	prefix("*", "/", "/xyz", "*")

	full("/xyz", "/xyz")
	full("xyz/", "/xyz/")
	full("", "/")
	full("\\\x7fé", "/%5C%7F%C3%A9")
	full("/a b?c#d%20\r\n", "/a%20b%3Fc%23d%20%0D%0A")

	for _, bad := range []table.PathEdit{{}, {Full: new(string), Prefix: new(string)}} {
		if p, err := NewPath(&bad); err == nil {
			t.Errorf("%+v gives %+v", bad, p)
		}
	}
}
