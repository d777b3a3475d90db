package expr

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func TestPath(t *testing.T) {
	e := env(t)
	is := func(text, subject, want string) {
		t.Helper()
		p, err := e.Compile(text, String)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		x.Principal.Subject = subject
		got, err := p.AppendPath([]byte("="), x)
		if err != nil {
			got = []byte("error")
		}
		if string(got) != want {
			t.Errorf("%s of %q: %s, want %s", text, subject, got, want)
		}
	}
	const list, plain = "['accounts', auth.subject]", "'/accounts/' + auth.subject"
	is(list, "ann", "=/accounts/ann")
	is(list, "a/b?c#d%e é", "=/accounts/a%2Fb%3Fc%23d%25e%20%C3%A9")
	is(list, "a\r\nb\x00", "=/accounts/a%0D%0Ab%00")
	is("[1, 2]", "", "=/1/2")
	is(plain, "ann/orders", "=/accounts/ann/orders")
	is(plain, "a?b", "=/accounts/a%3Fb")
	is("'/'", "", "=/")
	is("'/a/'", "", "=/a/")
	for _, bad := range []string{"..", ".", "../x", "x/..", "x/../y", `..\x`, `x\..`} {
		is(list, bad, "error")
	}
	is(list, "", "error")
	for _, bad := range []string{"..", ".", "../x", "x/..", "x//y", "/x"} {
		is(plain, bad, "error")
	}
	for _, bad := range []string{"'a'", "''", "[]", "null", "auth.claims.nope", "[['a']]"} {
		is(bad, "", "error")
	}
}

// Nothing that a value holds becomes more than a path, or leads out of it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"ann", "..", "../x", "a/b", "%2e%2e/x", "a\\..\\b", "\x00", "é", "a?b#c", "//"} {
		f.Add(s)
	}
	e := env(f)
	p, err := e.Compile("['accounts', auth.subject, 'x']", String)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		x := &exchange.Exchange{}
		x.Principal.Subject = subject
		b, err := p.AppendPath(nil, x)
		if err != nil {
			return
		}
		if strings.Count(string(b), "/") != 3 || strings.ContainsAny(string(b), "?#\\ \r\n\x00") || !strings.HasPrefix(string(b), "/accounts/") || !strings.HasSuffix(string(b), "/x") {
			t.Errorf("%q gives %q", subject, b)
		}
	})
}
