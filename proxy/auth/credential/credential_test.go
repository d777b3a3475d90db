package credential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// request is a raw query and header lines.
func request(query string, lines ...string) *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Request.RawQuery = query
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		x.Request.Header.Add(name, value)
	}
	return x
}

// left is what remains of x, after Strip.
func left(x *exchange.Exchange) string {
	out := x.Request.RawQuery
	for _, f := range x.Request.Header {
		if f.Name != "" {
			out += "|" + f.Name + ": " + f.Value
		}
	}
	return out
}

func places(t testing.TB, from ...table.CredentialSource) *Places {
	t.Helper()
	p, err := New(from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFindAndStrip(t *testing.T) {
	bearer := table.CredentialSource{Header: "Authorization", Scheme: "Bearer"}
	key := table.CredentialSource{Header: "X-API-Key"}
	cookie := table.CredentialSource{Cookie: "session"}
	query := table.CredentialSource{Query: "token"}
	all := places(t, bearer, key, cookie, query)
	is := func(p *Places, x *exchange.Exchange, found auth.Outcome, want, remains string) {
		t.Helper()
		before := left(x)
		got, outcome := p.Find(x)
		if outcome != found || got != want {
			t.Errorf("%s: %q, %d; want %q, %d", before, got, outcome, want, found)
		}
		if left(x) != before {
			t.Errorf("%s: finding left %s", before, left(x))
		}
		p.Strip(x)
		if left(x) != remains {
			t.Errorf("%s: stripping left %s, want %s", before, left(x), remains)
		}
		if _, outcome := p.Find(x); outcome != auth.Absent {
			t.Errorf("%s: something is there after stripping: %s", before, left(x))
		}
	}
	is(all, request("a=1", "b: 2"), auth.Absent, "", "a=1|b: 2")
	is(all, request("", "Authorization: Bearer abc", "b: 2"), auth.Accepted, "abc", "|b: 2")
	is(all, request("", "AUTHORIZATION: bEARER   abc"), auth.Accepted, "abc", "")
	is(all, request("", "Authorization: Bearer"), auth.Absent, "", "")
	is(all, request("", "Authorization: Bearerabc"), auth.Absent, "", "|Authorization: Bearerabc")
	is(all, request("", "Authorization: Basic abc"), auth.Absent, "", "|Authorization: Basic abc")
	is(all, request("", "Authorization: Digest abc"), auth.Absent, "", "|Authorization: Digest abc")
	is(all, request("", "Authorization: Bear"), auth.Absent, "", "|Authorization: Bear")
	is(all, request("", "Authorizatiom: Bearer a", "X-API-Kez: k", "Cookiz: session=s"), auth.Absent, "", "|Authorizatiom: Bearer a|X-API-Kez: k|Cookiz: session=s")
	is(all, request("", "Authorization: Basic a", "Authorization: Basic b"), auth.Absent, "", "|Authorization: Basic a|Authorization: Basic b")
	is(all, request("", "Authorization: Bearer a", "Authorization: Bearer a"), auth.Rejected, "", "")
	is(all, request("", "Authorization: Basic a", "Authorization: Bearer b"), auth.Rejected, "", "|Authorization: Basic a")
	is(all, request("", "Authorization: Bearer a, Bearer b"), auth.Accepted, "a, Bearer b", "")
	is(all, request("token=q", "x-api-key: k", "Authorization: Bearer a"), auth.Accepted, "a", "")
	is(all, request("", "X-API-KEY: k"), auth.Accepted, "k", "")
	is(all, request("", "x-api-key: "), auth.Absent, "", "")
	is(all, request("", "x-api-key: k", "x-api-key: "), auth.Rejected, "", "")
	is(all, request("", "cookie: a=1; session=s; b=2"), auth.Accepted, "s", "|cookie: a=1; b=2")
	is(all, request("", "Cookie: session=s=="), auth.Accepted, "s==", "")
	is(all, request("", "cookie: a=1", "cookie: session=s"), auth.Accepted, "s", "|cookie: a=1")
	is(all, request("", "cookie: session=s;session=t;c"), auth.Rejected, "", "|cookie: c")
	is(all, request("", "cookie: session=s", "cookie: session=t"), auth.Rejected, "", "")
	is(all, request("", "cookie: Session=s; xsession=t; session"), auth.Absent, "", "|cookie: Session=s; xsession=t; session")
	is(all, request("a=1&token=abc&b=2"), auth.Accepted, "abc", "a=1&b=2")
	is(all, request("t%6Fken=a%2Fb+c"), auth.Accepted, "a/b c", "")
	is(all, request("token=a%zz%"), auth.Accepted, "a%zz%", "")
	is(all, request("token=a&%74oken=b&c"), auth.Rejected, "", "c")
	is(all, request("token&tokens=1&Token=2"), auth.Absent, "", "tokens=1&Token=2")
}

func TestNew(t *testing.T) {
	fails := func(from ...table.CredentialSource) {
		t.Helper()
		if _, err := New(from); err == nil {
			t.Errorf("%+v was taken", from)
		}
	}
	fails()
	fails(table.CredentialSource{})
	fails(table.CredentialSource{Header: "a", Cookie: "b"})
	fails(table.CredentialSource{Header: "a"}, table.CredentialSource{Cookie: "b", Scheme: "c"})
}

func TestFindAllocates(t *testing.T) {
	p := places(t, table.CredentialSource{Header: "X-Key"}, table.CredentialSource{Cookie: "c"}, table.CredentialSource{Query: "q"})
	for _, x := range []*exchange.Exchange{request("", "x-key: a"), request("", "cookie: b=1; c=2"), request("a=1&q=2")} {
		if n := testing.AllocsPerRun(100, func() { p.Find(x) }); n != 0 {
			t.Errorf("%s: %v allocations", left(x), n)
		}
	}
}

// After Strip nothing is found any more, and what else there was is still there.
func FuzzStrip(f *testing.F) {
	f.Add("a=1&token=x&b", "s=1; session=2", "Bearer x")
	f.Add("t%6fken&&=", ";;session=;session", "bearer")
	f.Fuzz(func(t *testing.T, query, cookie, header string) {
		p := places(t, table.CredentialSource{Query: "token"}, table.CredentialSource{Cookie: "session"},
			table.CredentialSource{Header: "Authorization", Scheme: "Bearer"})
		x := request(query)
		x.Request.Header = exchange.Header{{Name: "Cookie", Value: cookie}, {Name: "Authorization", Value: header}, {Name: "Other", Value: "o"}}
		p.Strip(x)
		if v, found := p.Find(x); found != auth.Absent {
			t.Fatalf("%s: %q", left(x), v)
		}
		if _, n := x.Query("token"); n != 0 {
			t.Fatalf("%q left %q", query, x.Request.RawQuery)
		}
		if !strings.HasSuffix(left(x), "|Other: o") {
			t.Fatal(fmt.Sprint(x.Request.Header))
		}
	})
}
