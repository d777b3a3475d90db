package expr

import (
	"strings"
	"testing"
)

// No two texts, and no two lists, have the same field; and a field holds nothing that ends it.
func TestField(t *testing.T) {
	e := env(t)
	is := func(text, want string, there bool) {
		t.Helper()
		p, err := e.Compile(text, String)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, ok, err := p.Field(request()); err != nil || got != want || ok != there {
			t.Errorf("%s: %q, %v, %v, want %q", text, got, ok, err, want)
		}
	}
	is(`"Doe, John"`, "Doe, John", true)
	is(`"a\r\nb\x00"`, "a%0D%0Ab%00", true)
	is(`" zoë% "`, "%20zo%C3%AB%25%20", true)
	is(`["a", "b"]`, "a,b", true)
	is(`["a,b"]`, "a%2Cb", true)
	is(`["a", "", "b"]`, "a,,b", true)
	is(`["", "a"]`, ",a", true)
	is(`["a%2C", " b"]`, "a%252C,%20b", true)
	is(`optional.of(["a,b"])`, "a%2Cb", true)
	is(`[""]`, "", false)
	is("auth.claims.nope", "", false)
	is("auth.claims.?nope", "", false)
	for _, text := range []string{"auth.claims.address", "[1, 2]", "[dyn('a'), dyn(1)]"} {
		p, err := e.Compile(text, String)
		if err != nil {
			continue // refused before
		}
		if got, ok, err := p.Field(request()); err == nil {
			t.Errorf("%s became %q, %v", text, got, ok)
		}
	}
	// As a text, such as a key that decisions are kept by, a list with a comma in it is none.
	p, err := e.Compile(`["a,b"]`, String)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := p.String(request()); err == nil {
		t.Errorf("a list with a comma became %q, %v", got, ok)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("ann\r\nx: 1", "b,c")
	f.Add(" %2C", "zo\xc3\xab\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		x := request()
		one, two := encode(x, a, ','), encode(x, b, ',')
		if (one == two) != (a == b) {
			t.Errorf("%q and %q become %q and %q", a, b, one, two)
		}
		if i := strings.IndexFunc(one, func(r rune) bool { return r < ' ' || r > '~' || r == ',' }); i >= 0 {
			t.Errorf("%q becomes %q", a, one)
		}
	})
}
