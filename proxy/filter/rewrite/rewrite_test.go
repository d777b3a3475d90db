package rewrite

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestRewrite(t *testing.T) {
	rewrite := func(r table.Rewrite, authority, path string) {
		t.Helper()
		f, err := New(&r)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{Request: exchange.Request{Authority: "a.example:80", Host: "a.example", Path: "/a/b", RawQuery: "q"}}
		if !f.FilterRequest(x) {
			t.Error("the request was answered")
		}
		if got := &x.Request; got.Authority != authority || got.Path != path || got.RawQuery != "q" || got.Host != "a.example" {
			t.Errorf("%+v: %s %s?%s, want %s %s", r, got.Authority, got.Path, got.RawQuery, authority, path)
		}
	}
	full, prefix, none := "/new", "/c/", ""
	rewrite(table.Rewrite{}, "a.example:80", "/a/b")
	rewrite(table.Rewrite{Hostname: "b.example"}, "b.example", "/a/b")
	rewrite(table.Rewrite{Path: &table.PathEdit{Full: &full}}, "a.example:80", "/new")
	rewrite(table.Rewrite{Path: &table.PathEdit{Prefix: &prefix, Matched: "/a"}}, "a.example:80", "/c/b")
	rewrite(table.Rewrite{Path: &table.PathEdit{Prefix: &none, Matched: "/a/b"}}, "a.example:80", "/")
	rewrite(table.Rewrite{Path: &table.PathEdit{Prefix: &prefix, Matched: "/"}}, "a.example:80", "/c/a/b")

	for _, bad := range []table.Rewrite{{Hostname: "a b"}, {Hostname: "a\n"}, {Path: &table.PathEdit{}}} {
		if f, err := New(&bad); err == nil {
			t.Errorf("%+v gives %+v", bad, f)
		}
	}
}

func rewritten(t testing.TB) func() {
	prefix := "/c"
	f, err := New(&table.Rewrite{Hostname: "b.example", Path: &table.PathEdit{Prefix: &prefix, Matched: "/a"}})
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{}
	return func() {
		x.Arena.Reset()
		x.Request.Path = "/a/b"
		f.FilterRequest(x)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if n := testing.AllocsPerRun(100, rewritten(t)); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRewrite(b *testing.B) {
	step := rewritten(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
