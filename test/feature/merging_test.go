package feature

import (
	"strings"
	"testing"
)

// accepts is the rules of an AuthPolicy that accepts one API key, and names its
// caller in a header.
func accepts(name string) string {
	return `{authentication: {` + name + `: {apiKey: {selector: {matchLabels: {only: ` + name + `}}}}}, response: {headers: {x-` + name + `: {value: "1"}}}}`
}

// passing are the keys that are let in, and the x- headers the backend sees then: "gw,route +gw".
func passing(w *World, line string) string {
	var in []string
	headers := ""
	for _, name := range []string{"gw", "lis", "route", "rule"} {
		a := w.Do(line, "x-api-key: k-"+name)
		if a.Status != 200 {
			continue
		}
		in = append(in, name)
		headers = ""
		for _, h := range []string{"gw", "lis", "route", "rule"} {
			if len(a.Seen().Header["X-"+strings.ToUpper(h[:1])+h[1:]]) > 0 {
				headers += " +" + h
			}
		}
	}
	return strings.Join(in, ",") + headers
}

// The hierarchy of GEP-713, seen from outside: each level lets in a key of its own.
func TestMerging(t *testing.T) {
	t.Parallel()
	yaml := Base + Route("r", `{name: one, matches: [{path: {value: /one}}], backendRefs: [{name: api, port: 80}]}`, `{name: two, backendRefs: [{name: api, port: 80}]}`)
	for _, name := range []string{"gw", "lis", "route", "rule"} {
		yaml += strings.Replace(key(name, "k-"+name, ""), "keys: shop", "only: "+name, 1)
	}
	w := Start(t, yaml)
	targets := map[string]string{"gw": "Gateway/edge", "lis": "Gateway/edge/http", "route": "HTTPRoute/r", "rule": "HTTPRoute/r/one"}
	// is applies policies, "gw: overrides Merge", and says who gets in where.
	is := func(policies, one, two string) {
		t.Helper()
		var yaml string
		for p := range strings.SplitSeq(policies, ", ") {
			name, how, _ := strings.Cut(p, ": ")
			section, strategy, _ := strings.Cut(how, " ")
			spec := section + `: {strategy: ` + strategy + `, rules: ` + accepts(name) + `}`
			if section == "rules" {
				spec = `rules: ` + accepts(name)
			}
			yaml += Auth(name, targets[name], spec)
		}
		w.Apply(yaml)
		if got := passing(w, "GET http://a/one"); got != one {
			t.Errorf("%s: /one lets in %s, want %s", policies, got, one)
		}
		if got := passing(w, "GET http://a/two"); got != two {
			t.Errorf("%s: /two lets in %s, want %s", policies, got, two)
		}
		w.Delete(yaml)
	}
	is("gw: rules", "gw +gw", "gw +gw")
	is("gw: rules, route: rules", "route +route", "route +route")
	is("gw: rules, rule: rules", "rule +rule", "gw +gw")
	is("gw: defaults Atomic, lis: defaults Atomic", "lis +lis", "lis +lis")
	is("gw: overrides Atomic, route: rules", "gw +gw", "gw +gw")
	is("lis: overrides Atomic, rule: rules, route: rules", "lis +lis", "lis +lis")
	is("gw: defaults Merge, route: rules", "gw,route +gw +route", "gw,route +gw +route")
	is("gw: defaults Merge, rule: rules", "gw,rule +gw +rule", "gw +gw")
	is("gw: overrides Merge, route: rules, rule: rules", "gw,rule +gw +rule", "gw,route +gw +route")
	is("gw: defaults Merge, lis: defaults Merge, route: defaults Merge, rule: rules", "gw,lis,route,rule +gw +lis +route +rule", "gw,lis,route +gw +lis +route")
	is("gw: defaults Merge, lis: overrides Atomic, rule: rules", "gw,lis +gw +lis", "gw,lis +gw +lis")
	is("gw: defaults Atomic, lis: overrides Merge, rule: rules", "lis,rule +lis +rule", "lis +lis")
	is("route: overrides Merge, rule: overrides Atomic", "route,rule +route +rule", "route +route")
}

// Where two merged policies name one thing, defaults give way and overrides do not.
func TestMergingByName(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	rule := func(section, cel string) string {
		return section + `: {strategy: Merge, rules: {authorization: {it: {cel: "` + cel + `"}}}}`
	}
	is := decides(t, w)
	w.Apply(Auth("g", "Gateway/edge", rule("defaults", "request.path == '/gw'")) + Auth("r", guarded, rule("defaults", "request.path == '/route'")))
	is("", "GET http://a/route")
	is("403 forbidden_by_rule", "GET http://a/gw")
	w.Apply(Auth("g", "Gateway/edge", rule("overrides", "request.path == '/gw'")))
	is("403 forbidden_by_rule", "GET http://a/route")
	is("", "GET http://a/gw")
}

// Of two on one target the older stands, and the younger says why not.
func TestConflicts(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI))
	is := decides(t, w)
	only := func(path string) string {
		return `rules: {authorization: {it: {cel: "request.path == '` + path + `'"}}}`
	}
	w.Apply(Auth("b-older", guarded, only("/older")) + Auth("c-younger", guarded, only("/younger")))
	is("", "GET http://a/older")
	is("403 forbidden_by_rule", "GET http://a/younger")
	if c := condition(w, "c-younger", "Accepted"); !strings.HasPrefix(c, "False Conflicted") || !strings.Contains(c, "b-older") {
		t.Error(c)
	}
	if c := condition(w, "b-older", "Accepted"); !strings.HasPrefix(c, "True Accepted") {
		t.Error(c)
	}
	w.Delete(Auth("b-older", guarded, only("/older")))
	is("", "GET http://a/younger")
	// A policy on nothing is said to be so, and changes nothing.
	w.Apply(Auth("d-lost", "HTTPRoute/gone", only("/lost")))
	is("", "GET http://a/younger")
	if c := condition(w, "d-lost", "Accepted"); !strings.HasPrefix(c, "False TargetNotFound") {
		t.Error(c)
	}
}

// condition is a policy's condition on its first ancestor: "True Accepted message".
func condition(w *World, policy, name string) string {
	for _, p := range w.policies.All {
		if p.Key.Name != policy {
			continue
		}
		for _, a := range p.Ancestors {
			for _, c := range a.Conditions {
				if c.Type == name {
					return string(c.Status) + " " + c.Reason + " " + c.Message
				}
			}
		}
	}
	return "none"
}

// Shadow watches, counts and lets everybody pass.
func TestShadow(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+
		Auth("enforced", guarded, `rules: {authentication: {keys: {`+apiKeys+`}}, `+subject+`}`)+
		Auth("watched", guarded, `mode: Shadow
rules: {authorization: {it: {cel: "request.path != '/no'"}}, response: {headers: {x-user: {value: shadow}}}}`)+
		Validation("format", guarded, `mode: Shadow
rules: {checks: {it: {maxBodyBytes: 3}}}`))
	is := decides(t, w)
	is("keys good-owner", "GET http://a/", "x-api-key: k-good")
	is("keys good-owner", "GET http://a/no", "x-api-key: k-good")
	is("401 auth_missing", "GET http://a/no")
	if a := w.Send("POST http://a/", "too long", "x-api-key: k-good"); a.Seen().Body != "too long" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, m := range []struct{ name, want string }{
		{`gatehouse_shadow_denials_total{cause="forbidden_by_rule",policy="AuthPolicy shop/watched"}`, "2"},
		{`gatehouse_shadow_denials_total{cause="content_too_large",policy="ValidationPolicy shop/format"}`, "1"},
		{`gatehouse_denials_total{cause="auth_missing",policy="AuthPolicy shop/enforced"}`, "1"},
	} {
		if got := w.Metric(m.name); got != m.want {
			t.Errorf("%s is %s, want %s", m.name, got, m.want)
		}
	}
	// A broken one refuses nobody either.
	w.Apply(Auth("watched", guarded, `mode: Shadow
rules: {authorization: {it: {cel: "request.nope"}}}`))
	is("keys good-owner", "GET http://a/no", "x-api-key: k-good")
}
