package feature

import (
	"fmt"
	"strings"
	"testing"
)

// shown is all that the gateway tells whoever operates it, by where.
func (w *World) shown(access, own *page, conditions string) map[string]string {
	out := map[string]string{
		"the access log": access.String(), "the log": own.String(), "the statuses": conditions,
	}
	for _, path := range []string{"/metrics", "/debug/table", "/debug/table?format=json", "/debug/decisions"} {
		out[path] = w.Admin(path)
	}
	return out
}

// hidden fails where one of the secrets is shown.
func hidden(t *testing.T, shown map[string]string, secrets ...string) {
	t.Helper()
	for where, text := range shown {
		if len(text) == 0 && where != "the log" {
			t.Errorf("%s is empty", where)
		}
		for _, s := range secrets {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("%s shows %q: %s", where, s, text[max(0, at-100):min(len(text), at+100)])
			}
		}
	}
}

// Secrets planted everywhere a caller can put one come out nowhere.
func TestNoCredentialIsShown(t *testing.T) {
	const apiKey, password, cookie, inQuery, form = "PLANTED-key-8f3a", "PLANTED-password-77c1", "PLANTED-cookie-5d20", "PLANTED-query-c9e4", "PLANTED-body-11ab"
	issuer := NewIssuer(t)
	issuer.Down(true)
	chain, tlsKey := NewAuthority(t).Pair("a.example")
	var access, own page
	w := Start(t, Base+key("good", apiKey, "")+Route("r", toAPI)+tlsSecret("cert", chain, tlsKey)+
		Gateway("edge", `{name: http, protocol: HTTP, port: 80}`, `{name: tls, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: users, namespace: shop}\nstringData: {.htpasswd: \"ann:"+bcryptOf(t, password)+"\"}\n---\n"+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: plain, namespace: shop, labels: {keys: shop}}\nstringData: {apiKey: "+cookie+"}\n---\n"+
		Auth("a", guarded, `rules: {authentication: {keys: {apiKey: {selector: {matchLabels: {keys: shop}}, from: [{header: X-API-Key}, {cookie: key}, {query: key}]}}, people: {basic: {secretRef: {name: users}}}, `+
			`staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {uri: "`+issuer.KeySetURL()+`"}}}}, authorization: {no: {cel: "request.path != '/no'"}}}`)+
		Validation("v", guarded, `rules: {checks: {it: {methods: [POST], headers: [{name: X-Token, pattern: "[0-9]+"}], query: [{name: token, type: integer}], jsonSchema: {inline: {type: object, properties: {password: {type: integer}}, additionalProperties: false}}}}}`),
		logs(&access, &own))
	token := issuer.Token(`"sub":"ann"`)
	basic := "authorization: Basic " + base64Of("ann:"+password)
	var bodies strings.Builder
	asks, statuses := 0, map[int]int{}
	ask := func(line, body string, fields ...string) {
		t.Helper()
		asks++
		a := w.Send(line, body, fields...)
		statuses[a.Status]++
		if a.Seen().Service == "" { // the backend's own answers echo what it was sent
			bodies.WriteString(a.Body + fmt.Sprint(a.Header))
		}
	}
	for _, line := range []string{"GET http://a/", "GET http://a/no", "POST http://a/"} {
		ask(line, "", "x-api-key: "+apiKey)
		ask(line, "", "x-api-key: wrong"+apiKey)
		ask(line, "", "x-api-key: "+apiKey, "x-api-key: "+apiKey)
		ask(line, "", "cookie: key="+cookie)
		ask(line, "", "cookie: key=wrong"+cookie)
		ask(line+"?key="+inQuery, "")
		ask(line, "", basic)
		ask(line, "", "authorization: Basic "+base64Of("ann:wrong"+password))
		ask(line, "", "authorization: Bearer "+token)
		ask(line, `{"password":"`+form+`","`+form+`-member":1}`, "content-type: application/json", "x-api-key: "+apiKey)
		ask(line, form, "content-type: application/json", "x-api-key: "+apiKey)
		ask(line+"?token="+inQuery, "{}", "content-type: application/json", "x-token: "+apiKey, "x-api-key: "+apiKey)
	}
	w.Raw("GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: " + apiKey + "\r\nX-API Key: " + apiKey + "\r\n\r\n")
	w.Raw("GET /?key=" + inQuery + " " + apiKey + " HTTP/1.1\r\nHost: a\r\n\r\n")
	issuer.Down(false)
	w.Until("the key set is fetched", func() bool {
		asks++
		return w.Do("GET http://a/", "authorization: Bearer "+token).Status == 200
	})
	ask("GET http://a/", "", "authorization: Bearer "+token)
	ask("GET http://a/", "", "authorization: Bearer "+token[:len(token)-4]+"AAAA")
	w.Until("every request is logged", func() bool { return strings.Count(access.String(), "\n") >= asks })
	for _, status := range []int{200, 400, 401, 403, 422, 503} {
		if statuses[status] == 0 {
			t.Errorf("no answer was %d: %v", status, statuses)
		}
	}
	shown := w.shown(&access, &own, w.conditions(w.wait()))
	shown["an answer"] = bodies.String()
	hidden(t, shown, apiKey, password, cookie, inQuery, base64Of("ann:"+password), token, token[strings.LastIndexByte(token, '.')+1:], strings.Split(string(tlsKey), "\n")[1], "$2a$")
	// Content goes into an answer as far as the caller must know what is wrong with it, and into nothing else.
	for _, where := range []string{"the access log", "the log", "/metrics"} {
		if strings.Contains(shown[where], form) {
			t.Errorf("%s shows content", where)
		}
	}
}

// planted is a policy with secrets in it, and in what its callers send.
type planted struct {
	objects, rules string
	fields         [][]string // of requests for /; the first is let in
	refused        []string   // of one for /no; nil: those of the first
	secrets        []string
}

// What a policy keeps in Secrets, and what callers prove themselves with, is shown
// nowhere, whatever becomes of the request.
func TestNoSecretOfAPolicyIsShown(t *testing.T) {
	const secret = "PLANTED-9c1d"
	const no = `no: {cel: "request.path != '/no'"}`
	tokens := newTokenServer(t)
	for name, p := range map[string]planted{
		"introspection": {
			objects: tokenClient,
			rules:   `authentication: {apps: {introspection: {url: "` + tokens.URL + `/introspect", clientSecretRef: {name: client}, audiences: [shop]}}}, authorization: {` + no + `}`,
			fields:  [][]string{{"authorization: Bearer good-" + secret}, {"authorization: Bearer bad-" + secret}},
			secrets: []string{secret, "planted"},
		},
		"hmac": {
			objects: hmacKey("acme", hmacSecret+secret, ""),
			rules:   signedRules + `, authorization: {` + no + `}`,
			fields:  [][]string{signed("acme", hmacSecret+secret, "GET", "/", "", ""), signed("acme", "wrong", "GET", "/", "", "")},
			refused: signed("acme", hmacSecret+secret, "GET", "/no", "", ""),
			secrets: []string{secret},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var access, own page
			w := Start(t, Base+p.objects+Route("r", toAPI)+Auth("a", guarded, `rules: {`+p.rules+`}`), logs(&access, &own))
			asks := 0
			var answers strings.Builder
			send := func(want int, line string, fields ...string) {
				t.Helper()
				asks++
				a := w.Do(line, fields...)
				if a.Status != want {
					t.Errorf("%s %.30s: %d %s, want %d", line, fields, a.Status, a.Code(), want)
				}
				if a.Seen().Service == "" {
					answers.WriteString(a.Body + fmt.Sprint(a.Header))
				}
			}
			send(200, "GET http://a/", p.fields[0]...)
			if p.refused == nil {
				p.refused = p.fields[0]
			}
			send(403, "GET http://a/no", p.refused...)
			for _, fields := range p.fields[1:] {
				send(401, "GET http://a/", fields...)
			}
			w.Until("every request is logged", func() bool { return strings.Count(access.String(), "\n") >= asks })
			shown := w.shown(&access, &own, w.conditions(w.wait()))
			shown["an answer"] = answers.String()
			hidden(t, shown, p.secrets...)
		})
	}
}
