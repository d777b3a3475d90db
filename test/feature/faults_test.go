package feature

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// What docs/policies/faults.md says of policies is in the golden policy-faults;
// what it says of credentials, claims, key sets and clocks is here.

// byToken is a policy's rules for tokens of an issuer, in the field
// Authorization or the cookie session.
func byToken(issuer *Issuer, more string) string {
	return `rules: {authentication: {staff: {jwt: {issuer: "` + issuer.URL() + `", audiences: [shop], jwks: {inline: ` + issuer.KeySet() +
		`}, from: [{header: Authorization, scheme: Bearer}, {cookie: session}]}}}` + more + `}`
}

// Large tokens, tokens with many claims, and cookies in pieces or twice.
func TestCredentialsOutOfTheOrdinary(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, byToken(issuer, `, authorization: {last: {cel: "!has(auth.claims.n499) || auth.claims.n499 == 499"}}, `+subject)))
	is := decides(t, w)
	bearer := func(token string) string { return "authorization: Bearer " + token }
	good := issuer.Token()
	pad := func(n int) string { return issuer.Token(`"pad":"` + strings.Repeat("x", n*3/4) + `"`) }
	is("staff ann", "GET http://a/", bearer(pad(15<<10)))
	is("401 jwt_too_long", "GET http://a/", bearer(pad(17<<10)))
	is("401 jwt_too_long", "GET http://a/", bearer(pad(60<<10)))
	is("401 jwt_too_long", "GET http://a/", "cookie: session="+pad(60<<10))
	is("431 header_too_large", "GET http://a/", bearer(pad(64<<10)))
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf(`"n%d":%d`, i, i)
	}
	for range 2 { // the second time from memory, if it is short enough
		is("staff ann", "GET http://a/", bearer(issuer.Token(many...)))
	}
	many[499] = `"n499":0`
	is("403 forbidden_by_rule", "GET http://a/", bearer(issuer.Token(many...)))

	for proto, c := range map[string]*http.Client{"HTTP/1.1": w.Client(""), "HTTP/2": w.Client("", PriorKnowledge)} {
		cookies := func(want string, lines ...string) {
			t.Helper()
			r, err := http.NewRequest(http.MethodGet, "http://a/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header["Cookie"] = lines
			response, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if got := fmt.Sprint(response.StatusCode); got != want {
				t.Errorf("%s %.60q: %s, want %s", proto, lines, got, want)
			}
		}
		cookies("200", "a=1; session="+good+"; b=2")
		cookies("200", "a=1", "session="+good, "b=2")
		cookies("401", "session="+good+"; session="+good)
		cookies("401", "session="+good, "session=x")
		cookies("401", "session=x", "session="+good)
		cookies("401", "session="+good[:len(good)/2], "session="+good[len(good)/2:])
		cookies("401", "session="+good[:len(good)/2]+"; "+good[len(good)/2:])
	}
	is("401 credential_repeated", "GET http://a/", "cookie: session="+good+"; session="+good)
	// The header decides, if it is there.
	is("401 jwt_malformed", "GET http://a/", bearer("x"), "cookie: session="+good)
	is("staff ann", "GET http://a/", bearer(good), "cookie: session=x")
}

// No claim ends a header, begins another, or passes for another claim.
func TestClaimsBecomeHeaders(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, byToken(issuer, `, response: {headers: {x-name: {cel: auth.claims.name}, x-list: {cel: "auth.claims.?list"}}}`)))
	for proto, c := range map[string]*http.Client{"HTTP/1.1": w.Client(""), "HTTP/2": w.Client("", PriorKnowledge)} {
		told := func(name, want string) {
			t.Helper()
			a := w.Over(c, "GET http://a/", "", "authorization: Bearer "+issuer.Token(`"name":`+name))
			s := a.Seen()
			if got := strings.Join(s.Header["X-Name"], "|"); a.Status != 200 || got != want || s.Header["X-Admin"] != nil {
				t.Errorf("%s %s: %d, told %q, want %q; %v", proto, name, a.Status, got, want, s.Header)
			}
		}
		told(`"ann"`, "ann")
		told(`"ann\r\nx-admin: 1"`, "ann%0D%0Ax-admin: 1")
		told(`"ann\nx-admin: 1"`, "ann%0Ax-admin: 1")
		told(`"ann\u0000"`, "ann%00")
		told(`"zo\u00eb"`, "zo%C3%AB")
		told(`"\u2028\ud800"`, "%E2%80%A8%EF%BF%BD")
		told(`"100%0D"`, "100%250D")
		told(`" ann "`, "%20ann%20")
		told(`"a\tb\u007f"`, "a%09b%7F")
		told(`["a,b","c"]`, "a%2Cb,c")
	}
	is := decides(t, w)
	is("403 identity_header_unusable", "GET http://a/", "authorization: Bearer "+issuer.Token(`"name":"`+strings.Repeat("x", 8<<10+1)+`"`))
	is("403 identity_header_unusable", "GET http://a/", "authorization: Bearer "+issuer.Token(`"name":"`+strings.Repeat(`\r`, 4<<10)+`"`))
	is("403 identity_header_unusable", "GET http://a/", "authorization: Bearer "+issuer.Token(`"name":{"a":1}`))
	if a := w.Do("GET http://a/", "authorization: Bearer "+issuer.Token(), "x-name: root", "x-list: root"); a.Status != 200 || a.Seen().Header["X-Name"] != nil || a.Seen().Header["X-List"] != nil {
		t.Errorf("a token without the claims: %d %s", a.Status, a.Body)
	}
}

// A key set that cannot be used is none: 503 for those who need it, until there
// is a good one.
func TestKeySetsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	private := strings.Replace(issuer.KeySet(), `"kty"`, `"d":"AAAA","kty"`, 1)
	for name, document := range map[string]string{
		"10 MB":       `{"keys":[` + strings.Repeat(" ", 10<<20) + strings.TrimPrefix(issuer.KeySet(), `{"keys":[`),
		"private key": private,
		"rubbish":     "<html>",
		"empty":       `{"keys":[]}`,
		"101 keys":    `{"keys":[` + strings.Repeat("{},", 100) + strings.TrimPrefix(issuer.KeySet(), `{"keys":[`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var good atomic.Bool
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				defer asked.Add(1)
				if good.Load() {
					_, _ = rw.Write([]byte(issuer.KeySet()))
					return
				}
				_, _ = rw.Write([]byte(document))
			}))
			t.Cleanup(server.Close)
			w := Start(t, Base+Route("r", toAPI)+HostRoute("open", "open.example", toAPI)+
				Auth("a", guarded, strings.Replace(byToken(issuer, ", "+subject), "inline: "+issuer.KeySet(), `uri: "`+server.URL+`"`, 1)))
			is := decides(t, w)
			token := "authorization: Bearer " + issuer.Token()
			w.Until("it was fetched", func() bool { return asked.Load() > 0 })
			is("503 key_set_unavailable", "GET http://a/", token)
			is("503 key_set_unavailable", "GET http://a/", "authorization: Bearer x")
			is("401 auth_missing", "GET http://a/")
			is("", "GET http://open.example/")
			good.Store(true)
			w.Until("there is a good one", func() bool { return w.Do("GET http://a/", token).Status == 200 })
			is("401 jwt_malformed", "GET http://a/", "authorization: Bearer x")
		})
	}
}

// A clock that is wrong decides by what it says, and once it is right again
// nothing of it is left.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	issuer, now := NewIssuer(t), time.Now().Unix()
	tokens := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `{"active":true,"sub":"ann","nbf":%d,"exp":%d}`, now, now+3600)
	}))
	t.Cleanup(tokens.Close)
	at := func(offset int64) string { return time.Unix(now+offset, 0).UTC().Format(time.RFC3339) }
	path := func(name string) string {
		return `{name: ` + name + `, matches: [{path: {value: /` + name + `}}], ` + toAPI[1:]
	}
	w := Start(t, Base+tokenClient+Route("r", path("jwt"), path("key"), path("signed"), path("opaque"), path("public"))+
		key("life", "k-life", fmt.Sprintf(", gatehouse.dev/not-before: %q, gatehouse.dev/expires-at: %q", at(0), at(3600)))+
		hmacKey("acme", hmacSecret, "")+
		Auth("jwt", "HTTPRoute/r/jwt", byToken(issuer, ""))+
		Auth("key", "HTTPRoute/r/key", `rules: {authentication: {keys: {`+apiKeys+`}}}`)+
		Auth("signed", "HTTPRoute/r/signed", `rules: {`+signedRules+`}`)+
		Auth("opaque", "HTTPRoute/r/opaque", `rules: {authentication: {apps: {introspection: {url: "`+tokens.URL+`", audienceCheck: None, clientSecretRef: {name: client}}}}}`)+
		Auth("public", "HTTPRoute/r/public", `rules: {public: {reason: a test, expiresAt: "`+at(3600)+`"}}`),
		func(o *proxy.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Second) }
		})
	token := "authorization: Bearer " + issuer.Token(fmt.Sprintf(`"iat":%d,"exp":%d`, now, now+3600))
	sent := map[string][]string{
		"jwt": {token}, "key": {"x-api-key: k-life"}, "signed": signed("acme", hmacSecret, "GET", "/signed", "", ""),
		"opaque": {"authorization: Bearer t"}, "public": nil,
	}
	const hours = 2 * 3600
	right := map[string]string{"jwt": "200", "key": "200", "signed": "200", "opaque": "200", "public": "200"}
	for _, step := range []struct {
		ahead int64
		want  map[string]string
	}{
		{0, right},
		{hours, map[string]string{"jwt": "401 jwt_expired", "key": "401 api_key_expired", "signed": "401 signature_expired", "opaque": "401 token_inactive", "public": "403 public_expired"}},
		{0, right},
		{-hours, map[string]string{"jwt": "401 jwt_not_yet_valid", "key": "401 api_key_not_yet_valid", "signed": "401 signature_expired", "opaque": "401 token_not_yet_valid", "public": "200"}},
		{0, right},
	} {
		ahead.Store(step.ahead)
		for name, want := range step.want {
			a := w.Do("GET http://a/"+name, sent[name]...)
			if got := strings.TrimSpace(itoa(a.Status) + " " + a.Code()); got != want {
				t.Errorf("%d s ahead, %s: %s, want %s", step.ahead, name, got, want)
			}
		}
	}
}
