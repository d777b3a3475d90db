package feature

import (
	"strings"
	"testing"
)

func TestRequireAuth(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", ""))
	is := decides(t, w)
	is("", "GET http://a/")
	w.Apply(Auth("z", "Gateway/edge", "requireAuth: true"))
	is("403 route_unguarded", "GET http://a/")
	contains(t, w.Admin("/debug/table"), "AuthPolicy shop/z requires authentication")
	keyed := `authentication: {keys: {` + apiKeys + `}}`
	w.Apply(Auth("a", guarded, `rules: {`+keyed+`, `+subject+`}`))
	is("401 auth_missing", "GET http://a/")
	is("keys good-owner", "GET http://a/", "x-api-key: k-good")
	// Neither a rule about addresses nor anonymous says who calls.
	w.Apply(Auth("a", guarded, `rules: {authorization: {home: {cidrs: {allow: [127.0.0.0/8]}}}}`))
	is("403 route_unguarded", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {authentication: {all: {anonymous: {}}}}`))
	is("403 route_unguarded", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {`+keyed+`, require: keys || !keys}`))
	is("403 route_unguarded", "GET http://a/")
	ask := `externalAuth: {url: "http://127.0.0.1:1", http: {}}`
	w.Apply(Auth("a", guarded, `rules: {`+keyed+`, require: keys || !keys, authorization: {ask: {`+ask+`}}}`))
	is("503 external_auth_unavailable", "GET http://a/")
	// A service that is only watched refuses nobody.
	w.Apply(Auth("a", guarded, `rules: {authorization: {ask: {mode: Shadow, `+ask+`}}}`))
	is("403 route_unguarded", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {authorization: {ask: {`+ask+`}}}`))
	is("503 external_auth_unavailable", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {public: {reason: a status page}}`))
	is("", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {public: {reason: a status page, expiresAt: "2099-01-01T00:00:00Z"}, authorization: {home: {cidrs: {deny: [127.0.0.0/8]}}}}`))
	is("403 forbidden_by_cidr", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {public: {reason: a status page, expiresAt: "2020-01-01T00:00:00Z"}}`))
	is("403 public_expired", "GET http://a/")
	// What is public under a policy that asks is so only until it expires.
	w.Apply(Auth("z", "Gateway/edge", "requireAuth: true\ndefaults: {strategy: Merge, rules: {"+keyed+"}}"))
	is("401 auth_missing", "GET http://a/")
	w.Apply(Auth("a", guarded, `rules: {public: {reason: a status page}}`))
	is("", "GET http://a/")
	text, err := gatehouse(t, w, "exposure")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, strings.Join(strings.Fields(text), " "), "open shop/edge/http", "public: a status page")
	w.Delete(Auth("a", guarded, `rules: {public: {reason: a status page}}`))
	is("401 auth_missing", "GET http://a/")
	// Demanding alone does not take away what a more general policy asks for.
	w.Apply(Auth("x", "Gateway/edge/http", "requireAuth: true"))
	is("401 auth_missing", "GET http://a/")
}

func TestClaims(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	staff := `authentication: {staff: {jwt: {issuer: "` + issuer.URL() + `", audiences: [shop], jwks: {inline: ` + issuer.KeySet() + `}}}}`
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, `rules: {`+staff+`, authorization: {members: {claims: [{claim: realm_access.roles, values: [admin, ops]}, {claim: scope, match: All, values: [read, write]}]}}, `+subject+`}`))
	is := decides(t, w)
	bearer := func(claims ...string) string { return "authorization: Bearer " + issuer.Token(claims...) }
	is("staff ann", "GET http://a/", bearer(`"realm_access":{"roles":["dev","ops"]}`, `"scope":"write read"`))
	is("403 forbidden_by_claim", "GET http://a/", bearer(`"realm_access":{"roles":["dev"]}`, `"scope":"write read"`))
	is("403 forbidden_by_claim", "GET http://a/", bearer(`"realm_access":{"roles":["ops"]}`, `"scope":"read"`))
	is("403 forbidden_by_claim", "GET http://a/", bearer())
}
