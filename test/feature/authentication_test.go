package feature

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// key is a Secret "shop/<name>" that holds an API key's hash. more is further
// annotations, ", gatehouse.dev/plan: gold".
func key(name, text, more string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: shop, labels: {keys: shop}, annotations: {gatehouse.dev/subject: %s-owner%s}}\n"+
		"stringData: {keyHash: \"sha256:%x\"}\n---\n", name, name, more, sha256.Sum256([]byte(text)))
}

const (
	guarded = "HTTPRoute/r"
	apiKeys = `apiKey: {selector: {matchLabels: {keys: shop}}}`
	subject = `response: {headers: {x-user: {cel: auth.subject}, x-method: {cel: auth.method}}}`
)

// decides checks what becomes of a request: "method subject" as the backend was
// told, or "status code".
func decides(t *testing.T, w *World) func(want, line string, fields ...string) {
	c := w.Client("")
	return func(want, line string, fields ...string) {
		t.Helper()
		if got := outcome(w.Over(c, line, "", fields...)); got != want {
			t.Errorf("%s %.60q: %s, want %s", line, fields, got, want)
		}
	}
}

func outcome(a Answer) string {
	if s := a.Seen(); s.Service != "" {
		return strings.TrimSpace(strings.Join(s.Header["X-Method"], "|") + " " + strings.Join(s.Header["X-User"], "|"))
	}
	return strings.TrimSpace(itoa(a.Status) + " " + a.Code())
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", "")+
		key("old", "k-old", `, gatehouse.dev/expires-at: "2020-01-01T00:00:00Z"`)+
		key("early", "k-early", `, gatehouse.dev/not-before: "2999-01-01T00:00:00Z"`)+
		strings.Replace(key("other", "k-other", ""), "keys: shop", "keys: else", 1)+
		Auth("a", guarded, `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {keys: shop}}, from: [{header: X-API-Key}, {header: Authorization, scheme: Key}, {query: key}, {cookie: key}]}}}, `+subject+`}`))
	is := decides(t, w)
	is("keys good-owner", "GET http://a/", "x-api-key: k-good")
	is("keys good-owner", "GET http://a/", "authorization: key k-good")
	is("keys good-owner", "GET http://a/?a=1&key=k-good")
	is("keys good-owner", "GET http://a/", "cookie: a=1; key=k-good")
	is("401 auth_missing", "GET http://a/")
	is("401 api_key_unknown", "GET http://a/", "x-api-key: k-bad")
	is("401 api_key_unknown", "GET http://a/", "x-api-key: k-other")
	is("401 api_key_unknown", "GET http://a/?key=k-bad")
	is("401 api_key_expired", "GET http://a/", "x-api-key: k-old")
	is("401 api_key_not_yet_valid", "GET http://a/", "x-api-key: k-early")
	is("401 credential_repeated", "GET http://a/", "x-api-key: k-good", "x-api-key: k-good")

	// Rotation: two keys count for a while, then the new one alone.
	w.Apply(key("next", "k-next", ""))
	is("keys next-owner", "GET http://a/", "x-api-key: k-next")
	is("keys good-owner", "GET http://a/", "x-api-key: k-good")
	w.Delete(key("good", "k-good", ""))
	is("401 api_key_unknown", "GET http://a/", "x-api-key: k-good")
	is("keys next-owner", "GET http://a/", "x-api-key: k-next")
	// In place, too.
	w.Apply(key("next", "k-last", ""))
	is("401 api_key_unknown", "GET http://a/", "x-api-key: k-next")
	is("keys next-owner", "GET http://a/", "x-api-key: k-last")
	// A Secret that cannot be read locks nobody else out.
	w.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: shop, labels: {keys: shop}}\nstringData: {keyHash: rubbish}\n---\n")
	is("keys next-owner", "GET http://a/", "x-api-key: k-last")
	is("401 api_key_unknown", "GET http://a/", "x-api-key: rubbish")
}

// sha512OfBattery is what "openssl passwd -6 battery" makes of it.
const sha512OfBattery = "$6$saltsalt$I2b/fRpitaeLPGeAsE8zOIYZyKuGD12bkPeb4YIIdK3.M9Rij9nGk2WGSFh/NSbgkutGJ3GcCI3WUOefk.j22/"

// bcryptOf is what "htpasswd -B" makes of a password, at the least cost.
func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestBasic(t *testing.T) {
	t.Parallel()
	const users = `
apiVersion: v1
kind: Secret
metadata: {name: users, namespace: shop}
stringData:
  .htpasswd: |
    ann:BCRYPT
    bob:SHA512
---
`
	secret := strings.NewReplacer("BCRYPT", bcryptOf(t, "correct horse"), "SHA512", sha512OfBattery).Replace(users)
	w := Start(t, Base+Route("r", toAPI)+secret+Auth("a", guarded, `rules: {authentication: {people: {basic: {secretRef: {name: users}, realm: the shop}}}, `+subject+`}`))
	is := decides(t, w)
	basic := func(user, password string) string {
		return "authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for range 2 { // the second time from memory
		is("people ann", "GET http://a/", basic("ann", "correct horse"))
		is("people bob", "GET http://a/", basic("bob", "battery"))
		is("401 basic_invalid", "GET http://a/", basic("ann", "battery"))
		is("401 basic_invalid", "GET http://a/", basic("bob", ""))
		is("401 basic_invalid", "GET http://a/", basic("eve", "battery"))
	}
	is("401 basic_invalid", "GET http://a/", "authorization: Basic !!!")
	is("401 auth_missing", "GET http://a/")
	if ask := w.Do("GET http://a/").Header.Values("WWW-Authenticate"); len(ask) != 1 || ask[0] != `Basic realm="the shop", charset="UTF-8"` {
		t.Errorf("%q", ask)
	}
	// A changed password counts at once, whatever was remembered.
	w.Apply(strings.NewReplacer("BCRYPT", bcryptOf(t, "changed"), "bob:SHA512", "").Replace(users))
	is("401 basic_invalid", "GET http://a/", basic("ann", "correct horse"))
	is("people ann", "GET http://a/", basic("ann", "changed"))
	is("401 basic_invalid", "GET http://a/", basic("bob", "battery"))
}

func TestJWT(t *testing.T) {
	t.Parallel()
	issuer, other := NewIssuer(t), NewIssuer(t)
	w := Start(t, Base)
	is := decides(t, w)
	for name, source := range map[string]string{
		"inline":    "jwks: {inline: " + issuer.KeySet() + "}",
		"uri":       `jwks: {uri: "` + issuer.KeySetURL() + `"}`,
		"configMap": `jwks: {configMapRef: {name: keys, key: jwks}}`,
		"discovery": "audienceCheck: Required",
	} {
		w.Apply(Route("r", toAPI) + fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: keys, namespace: shop}\ndata: {jwks: %q}\n---\n", issuer.KeySet()) +
			Auth("a", guarded, `rules: {authentication: {`+name+`: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], `+source+`, from: [{header: Authorization, scheme: Bearer}, {cookie: session}]}}}, `+subject+`}`))
		bearer := func(token string) string { return "authorization: Bearer " + token }
		good := issuer.Token()
		w.Until("the key set of "+name+" is there", func() bool { return w.Do("GET http://a/", bearer(good)).Status != 503 })
		for range 2 { // the second time from memory
			is(name+" ann", "GET http://a/", bearer(good))
		}
		is(name+" bob", "GET http://a/", "cookie: session="+issuer.Token(`"sub":"bob"`))
		is(name+" ann", "GET http://a/", bearer(issuer.Token(`"aud":["x","shop"]`)))
		is("401 auth_missing", "GET http://a/")
		is("401 jwt_malformed", "GET http://a/", bearer("x.y.z"))
		is("401 jwt_too_long", "GET http://a/", bearer(good+strings.Repeat("A", 20<<10)))
		is("401 jwt_malformed", "GET http://a/", bearer(good[:strings.LastIndexByte(good, '.')+1]))
		is("401 jwt_signature_invalid", "GET http://a/", bearer(issuer.Token(`"sub":"eve"`)[:len(issuer.Token(`"sub":"eve"`))-86]+good[len(good)-86:]))
		is("401 jwt_issuer_invalid", "GET http://a/", bearer(other.Token()))
		is("401 jwt_signature_invalid", "GET http://a/", bearer(other.Token(`"iss":"`+issuer.URL()+`"`)))
		is("401 jwt_audience_invalid", "GET http://a/", bearer(issuer.Token(`"aud":"bank"`)))
		is("401 jwt_expired", "GET http://a/", bearer(issuer.Token(fmt.Sprintf(`"exp":%d`, time.Now().Add(-time.Minute).Unix()))))
		is("401 jwt_not_yet_valid", "GET http://a/", bearer(issuer.Token(fmt.Sprintf(`"nbf":%d`, time.Now().Add(time.Minute).Unix()))))
		// Where keys are fetched, and were just now, it is not known for a moment that nobody has it.
		w.Until("nobody's key is known as such", func() bool { return w.Do("GET http://a/", bearer(issuer.Signed("nobody's"))).Status != 503 })
		is("401 jwt_key_unknown", "GET http://a/", bearer(issuer.Signed("nobody's")))
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
		is("401 jwt_algorithm_refused", "GET http://a/", bearer(header+good[strings.IndexByte(good, '.'):]))
	}
}

// Several methods at once: any of them, or what require says; WWW-Authenticate names each that would do.
func TestRequire(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", ""))
	is := decides(t, w)
	with := func(require string, anonymous string) {
		w.Apply(Auth("a", guarded, `rules: {authentication: {robots: {`+apiKeys+`}, staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {inline: `+issuer.KeySet()+`}}}`+anonymous+`}`+require+`, `+subject+`}`))
	}
	token := "authorization: Bearer " + issuer.Token()
	with("", "")
	is("robots good-owner", "GET http://a/", "x-api-key: k-good")
	is("staff ann", "GET http://a/", token)
	is("robots good-owner", "GET http://a/", "x-api-key: k-good", token)
	is("staff ann", "GET http://a/", "x-api-key: bad", token)
	asked := func(want string, fields ...string) {
		t.Helper()
		if got := strings.Join(w.Do("GET http://a/", fields...).Header.Values("WWW-Authenticate"), " | "); got != want {
			t.Errorf("%v: asked for %s, want %s", fields, got, want)
		}
	}
	const byKey, byToken = `ApiKey realm="gatehouse", header="x-api-key"`, `Bearer realm="gatehouse"`
	asked(byKey + " | " + byToken)
	asked(byKey+" | "+byToken+`, error="invalid_token"`, "authorization: Bearer x.y.z")
	with(`, require: staff && robots`, "")
	is("401 auth_missing", "GET http://a/", "x-api-key: k-good")
	is("401 auth_missing", "GET http://a/", token)
	is("robots good-owner", "GET http://a/", "x-api-key: k-good", token)
	with(`, require: "staff && !robots"`, "")
	is("staff ann", "GET http://a/", token)
	is("401 auth_missing", "GET http://a/", "x-api-key: k-good", token)
	with("", `, everybody: {anonymous: {}}`)
	is("everybody", "GET http://a/")
	is("staff ann", "GET http://a/", token)
	is("401 api_key_unknown", "GET http://a/", "x-api-key: bad") // a wrong credential is not waved through
	with("", `, everybody: {anonymous: {}, when: ["request.path == '/open'"]}`)
	is("everybody", "GET http://a/open")
	is("401 auth_missing", "GET http://a/")
}

// What the backend learns: who calls, if the policy says so; never a credential, unless it says so.
func TestWhatTheBackendIsTold(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI)+key("good", "k-good", ", gatehouse.dev/plan: gold"))
	rules := `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {keys: shop}}, from: [{header: X-API-Key}, {query: key}, {cookie: key}]}}}, ` +
		`response: {headers: {x-user: {cel: auth.subject}, x-plan: {cel: auth.metadata.plan}, x-via: {value: gatehouse}, x-none: {cel: auth.metadata.nope}, x-tags: {cel: "auth.metadata.scopes.join(' ')"}}}`
	w.Apply(Auth("a", guarded, rules+`}`))
	told := func(line, path, cookie, key string, fields ...string) {
		t.Helper()
		s := w.Do(line, fields...).Seen()
		h := http.Header(s.Header)
		got := fmt.Sprint(s.Path, h.Values("Cookie"), h.Values("X-Api-Key"), h.Values("X-User"), h.Values("X-Plan"), h.Values("X-Via"), h.Values("X_user"))
		if want := fmt.Sprint(path, cookie, key, "[good-owner] [gold] [gatehouse] []"); got != want {
			t.Errorf("%s %v: told %s, want %s", line, fields, got, want)
		}
	}
	told("GET http://a/?a=1", "/?a=1", "[]", " [] ", "x-api-key: k-good")
	told("GET http://a/?a=1", "/?a=1", "[]", " [] ", "x-api-key: k-good", "x-user: root", "X-User: admin", "x_user: root", "x-plan: free", "x-via: me")
	told("GET http://a/?a=1&key=k-good&b=2", "/?a=1&b=2", "[]", " [] ")
	told("GET http://a/?key=k-good", "/", "[]", " [] ")
	told("GET http://a/", "/", "[a=1; b=2]", " [] ", "cookie: a=1; key=k-good; b=2")
	told("GET http://a/", "/", "[]", " [] ", "cookie: key=k-good")
	w.Apply(Auth("a", guarded, rules+`, forwardCredentials: true}`))
	told("GET http://a/?key=k-good", "/?key=k-good", "[]", " [] ")
	told("GET http://a/", "/", "[]", " [k-good] ", "x-api-key: k-good")
}
