package router

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// A path that some backends take for another one is refused where that is guarded by
// other policies, and only there.
func TestVeiledPaths(t *testing.T) {
	guarded := func(r *table.Rule, policies ...string) *table.Rule {
		r.Action.Auth = &table.Auth{}
		for _, p := range policies {
			r.Action.Auth.Sources = append(r.Action.Auth.Sources, table.Source{Policy: p})
		}
		return r
	}
	r := build(t,
		at("open", on("*", named("all"), guarded(prefix("/admin"), "a"), prefix("/free"), exact("/x//y"))),
		at("shut", on("*", guarded(named("all"), "g"), guarded(prefix("/admin"), "g", "a"), guarded(prefix("/alike"), "g"), prefix("/free"))))
	for _, c := range []struct{ host, path, want string }{
		{"open", "//admin", "bad_path"},
		{"open", "//admin/users", "bad_path"},
		{"open", "/;/admin", "bad_path"},
		{"open", "/;a=b/admin", "bad_path"},
		{"open", "/admin;x", "bad_path"},
		{"open", "/admin;x=y/users", "bad_path"},
		{"open", "/admin%3Bx", "bad_path"},
		{"open", "/admin%2fusers", "bad_path"},
		{"open", "/%5cadmin", "bad_path"},
		{"open", "/%2Fadmin", "bad_path"},
		{"open", "/admin", "prefix /admin"},
		{"open", "/admin//users;a", "prefix /admin"},
		{"open", "/admin.", "bad_path"},
		{"open", "/admin../users", "bad_path"},
		{"open", "//x/admin", "bad_path"},
		{"open", "///x/admin/users", "bad_path"},
		{"open", "/./%2e//x/;/admin", "bad_path"},
		{"open", "/x//x/admin", "all"},
		{"open", "/index.php/admin", "bad_path"},
		{"open", "/index%2Ephp;x//admin/users", "bad_path"},
		{"open", "/index.php/free", "all"},
		{"open", "/index.php", "all"},
		{"open", "/admin/index.php", "prefix /admin"},
		{"open", "//x/free", "all"},
		{"open", "/a.b/c", "all"},
		{"open", "/administration;x", "all"},
		{"open", "/a//b;c%2Fd%25", "all"},
		{"open", "//free", "all"},
		{"open", "/x//y", "exact /x//y"},
		{"open", "//", "all"},
		{"open", "/;", "all"},
		{"open", "/%2", "bad_path"},
		{"shut", "//admin", "bad_path"},
		{"shut", "//alike", "all"},
		{"shut", "//free", "all"},
	} {
		if got := found(r, get(c.host, c.path)); got != c.want {
			t.Errorf("%s%s: %s, want %s", c.host, c.path, got, c.want)
		}
	}
	x := get("open", "/a//b")
	if r.Match(x); x.Request.Path != "/a//b" {
		t.Errorf("the path has become %q", x.Request.Path)
	}
	open := build(t, at("", on("*", named("all"), prefix("/admin"))))
	if got := found(open, get("h", "//admin")); got != "all" {
		t.Errorf("without policies: %s", got)
	}
}

// What guards a path is not its AuthPolicies alone.
func TestVeiledGuards(t *testing.T) {
	checked, asked, inner, closed := prefix("/checked"), prefix("/asked"), prefix("/inner"), prefix("/closed")
	checked.Action.Validation = &table.Validation{Sources: []table.Source{{Policy: "v"}}}
	ask := []table.Filter{{ExternalAuth: &table.ExternalAuth{URL: "http://127.0.0.1:1", Path: "/check"}}}
	asked.Action.Filters = ask
	inner.Action.Backends = []table.WeightedBackend{{Backend: "b", Weight: 1, Filters: ask}}
	closed.Action.Reply = &table.Reply{Status: 500, Code: "rule_invalid"}
	also := prefix("/asked/also")
	also.Action.Filters = []table.Filter{{ExternalAuth: &table.ExternalAuth{URL: "http://127.0.0.1:1", Path: "/check"}}}
	for what, rule := range map[string]*table.Rule{"checked": checked, "asked": asked, "inner": inner, "closed": closed} {
		r := build(t, at("", on("*", named("all"), rule)))
		if got := found(r, get("h", "//"+what)); got != "bad_path" {
			t.Errorf("//%s: %s", what, got)
		}
		if got := found(r, get("h", "/a//"+what)); got != "all" {
			t.Errorf("/a//%s: %s", what, got)
		}
	}
	r := build(t, at("", on("*", checked)), at("", on("*", named("all"))))
	if got := found(r, get("h", "//checked")); got != "bad_path" {
		t.Errorf("what another listener of the host guards: %s", got)
	}
	guards := func(r *table.Rule, auth, validation string) *table.Rule {
		r.Action.Auth = &table.Auth{Sources: []table.Source{{Policy: auth}}}
		r.Action.Validation = &table.Validation{Sources: []table.Source{{Policy: validation}}}
		return r
	}
	r = build(t, at("", on("*", guards(named("all"), "a", "v"), guards(prefix("/alike"), "a", "v"), guards(prefix("/who"), "b", "v"), guards(prefix("/what"), "a", "w"))))
	for path, want := range map[string]string{"//alike": "all", "//who": "bad_path", "//what": "bad_path"} {
		if got := found(r, get("h", path)); got != want {
			t.Errorf("%s, where another policy of the same kind guards: %s, want %s", path, got, want)
		}
	}
	r = build(t, at("", on("*", asked, also)))
	if got := found(r, get("h", "/asked//also")); got != "prefix /asked" {
		t.Errorf("the same service is asked: %s", got)
	}
}
