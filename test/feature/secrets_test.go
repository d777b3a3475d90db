package feature

import (
	"fmt"
	"strings"
	"testing"
)

// shown is all that the gateway tells whoever operates it, by where. No Event says
// more than a condition of the statuses does, and there are no traces.
func (w *World) shown(access, own *page, conditions string) map[string]string {
	out := map[string]string{
		"the access log": access.String(), "the log": own.String(), "the statuses": conditions,
	}
	for _, path := range []string{
		"/metrics", "/debug/table", "/debug/table?format=json", "/debug/decisions", "/jwks", "/healthz", "/readyz",
		"/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2",
	} {
		out[path] = w.Admin(path)
	}
	for _, args := range [][]string{{"why"}, {"why", "--output", "json"}, {"exposure", "--all"}, {"exposure", "--all", "--output", "json"}} {
		text, err := gatehouse(w.t, w, args...)
		if err != nil {
			w.t.Error(err)
		}
		out["gatehouse "+strings.Join(args, " ")] = text
	}
	return out
}

// leaks says where one of the secrets is shown, and where nothing is.
func leaks(shown map[string]string, secrets ...string) (found []string) {
	for where, text := range shown {
		if len(text) == 0 && where != "the log" {
			found = append(found, where+" is empty")
		}
		for _, s := range secrets {
			if at := strings.Index(text, s); at >= 0 {
				found = append(found, fmt.Sprintf("%s shows %q: %s", where, s, text[max(0, at-100):min(len(text), at+100)]))
			}
		}
	}
	return found
}

// hidden fails where one of the secrets is shown.
func hidden(t *testing.T, shown map[string]string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if len(s) < 7 {
			t.Errorf("%q is too short to be told from other text", s)
		}
	}
	for _, l := range leaks(shown, secrets...) {
		t.Error(l)
	}
}

// What is looked for is found where it is shown: a header of the backend's that is
// no secret to anybody, and every page.
func TestALeakIsFound(t *testing.T) {
	t.Parallel()
	const leaked = "PLANTED-leak-1b7e"
	var access, own page
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded, `rules: {authorization: {no: {cel: "request.path != '/`+leaked+`'"}}}`), logs(&access, &own))
	a := w.Do("GET http://a/" + leaked)
	why(t, w, a.Problem().ID)
	w.Until("the request is logged", func() bool { return strings.Contains(access.String(), a.Problem().ID) })
	shown := w.shown(&access, &own, w.conditions(w.wait()))
	shown["an answer"] = a.Body
	for where := range shown {
		pages := map[string]string{where: shown[where] + leaked}
		if found := leaks(pages, "PLANTED-else", leaked); len(found) != 1 {
			t.Errorf("%s: %v", where, found)
		}
	}
	for _, where := range []string{"the access log", "/debug/decisions", "/debug/table", "/debug/table?format=json", "gatehouse why"} {
		if !strings.Contains(shown[where], leaked) {
			t.Errorf("%s is not what shows paths and policies:\n%s", where, shown[where])
		}
	}
}

// Secrets planted everywhere a caller can put one come out nowhere.
func TestNoCredentialIsShown(t *testing.T) {
	t.Parallel()
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
	hidden(t, shown, apiKey, password, cookie, inQuery, base64Of("ann:"+password), token, token[strings.LastIndexByte(token, '.')+1:], strings.Split(string(tlsKey), "\n")[1], "$2a$04$")
	// Content goes into an answer as far as the caller must know what is wrong with it, and into nothing else.
	for _, where := range []string{"the access log", "the log", "/metrics"} {
		if strings.Contains(shown[where], form) {
			t.Errorf("%s shows content", where)
		}
	}
}

// What is wrong with a Secret is said without a word of it.
func TestNoFaultShowsASecret(t *testing.T) {
	t.Parallel()
	secret := func(name, labels, data string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", namespace: shop, labels: {" + labels + "}}\nstringData: {" + data + "}\n---\n"
	}
	var access, own page
	login := func(store string) string {
		return `oidc: {issuer: "https://login.example", clientID: shop, clientSecretRef: {name: client}, session: {store: {redis: {secretRef: {name: ` + store + `}}}}}`
	}
	w := Start(t, Base+Route("r", toAPI)+secret("hash", "keys: shop", "keyHash: "+mark)+secret("expired", "keys: shop", "apiKey: "+mark+", expires-at: "+mark)+
		secret("short", "gatehouse.dev/hmac: orders", "hmacKey: "+mark)+secret("client", "", "client-secret: "+mark)+
		secret("port", "", "url: \"redis://user:"+mark+"@redis.example:port/0\"")+secret("scheme", "", "url: \"http://user:"+mark+"@redis.example/0\"")+
		secret("ca", "", "url: \"rediss://user:"+mark+"@redis.example/0\", ca.crt: "+mark)+secret("users", "", ".htpasswd: \""+mark+"\\nann:"+mark+"\"")+
		Auth("a", guarded, `rules: {authentication: {keys: {`+apiKeys+`}, apps: {hmac: {selector: {matchLabels: {gatehouse.dev/hmac: orders}}}}, people: {basic: {secretRef: {name: users}}}, `+
			`tools: {jwt: {issuer: tools, audiences: [shop], algorithms: [HS256], secretRef: {name: client}}}, `+
			`one: {`+login("port")+`}, two: {`+login("scheme")+`}, three: {`+login("ca")+`}}}`), logs(&access, &own))
	a := w.Do("GET http://a/", "accept: text/html")
	if a.Status != 503 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	w.Until("the request is logged", func() bool { return strings.Contains(access.String(), "\n") })
	shown := w.shown(&access, &own, w.conditions(w.wait()))
	shown["an answer"] = a.Body
	hidden(t, shown, mark)
	for _, name := range []string{"shop/hash", "shop/expired", "shop/short", "shop/port", "shop/scheme", "shop/ca", "shop/users", "shop/client"} {
		if !strings.Contains(shown["the statuses"], name) {
			t.Errorf("nothing is said of the Secret %s", name)
		}
	}
}
