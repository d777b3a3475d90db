package feature

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
)

// planted is a policy with secrets in it, and in what its callers send. Every
// secret that is looked for has mark in it, or is made when the case is.
type planted struct {
	objects                                 string
	authentication, authorization, response string // members
	options                                 func(*proxy.Options)

	fields  [][]string // of requests for /; the first is let in, the others are not: 401
	refused []string   // of one for /no, 403; nil: those of the first
	more    []string   // lines of further requests with the fields of the first, whatever the answer
	begin   func(t *testing.T, w *World, p *planted)
	secrets []string
}

// mark is in secrets that a test plants.
const mark = "PLANTED-9c1d"

// plantings are all ways to say who calls, whether they may, and who the gateway is.
func plantings(t *testing.T) map[string]*planted {
	issuer := NewIssuer(t)
	token := issuer.Token(`"sub":"ann"`)
	signature := token[strings.LastIndexByte(token, '.')+1:]
	bearer := "authorization: Bearer " + token
	staff := `staff: {jwt: {issuer: "` + issuer.URL() + `", audiences: [shop], jwks: {inline: ` + issuer.KeySet() + `}}}`
	shared := sharedToken(t, jose.HS256, mark+strings.Repeat("s", 32), "a")
	out := map[string]*planted{
		"apiKey": {
			objects:        key("good", mark+"-key", "") + "apiVersion: v1\nkind: Secret\nmetadata: {name: plain, namespace: shop, labels: {keys: shop}}\nstringData: {apiKey: " + mark + "-plain}\n---\n",
			authentication: `keys: {` + apiKeys[:len(apiKeys)-1] + `, from: [{header: X-API-Key}, {cookie: key}, {query: key}]}}`,
			fields: [][]string{
				{"x-api-key: " + mark + "-key"},
				{"x-api-key: " + mark + "-wrong"},
				{"cookie: key=" + mark + "-wrong"},
				{"x-api-key: " + mark + "-key", "x-api-key: " + mark + "-plain"},
			},
			more:    []string{"GET http://a/?key=" + mark + "-inquery"},
			secrets: []string{mark},
		},
		"basic": {
			objects:        "apiVersion: v1\nkind: Secret\nmetadata: {name: users, namespace: shop}\nstringData: {.htpasswd: \"ann:" + bcryptOf(t, mark) + "\\n" + mark + "-torn\\neve:{SHA256}" + mark + "\"}\n---\n",
			authentication: `people: {basic: {secretRef: {name: users}}}`,
			fields:         [][]string{{"authorization: Basic " + base64Of("ann:"+mark)}, {"authorization: Basic " + base64Of("ann:wrong"+mark)}, {"authorization: Basic " + mark + "-no-base64!"}},
			secrets:        []string{mark, base64Of("ann:" + mark), base64Of("ann:wrong" + mark), "{SHA256}"},
		},
		"jwt": {
			authentication: staff,
			fields:         [][]string{{bearer}, {bearer[:len(bearer)-4] + "AAAA"}, {"authorization: Bearer " + mark + ".a.b"}},
			secrets:        []string{mark, token, signature, signature[:len(signature)-4]},
		},
		"jwt by a shared secret": {
			objects:        "apiVersion: v1\nkind: Secret\nmetadata: {name: shared, namespace: shop}\nstringData: {a: " + mark + strings.Repeat("s", 32) + ", short: " + mark + "}\n---\n",
			authentication: `tools: {jwt: {issuer: tools, audiences: [shop], algorithms: [HS256], secretRef: {name: shared}}}`,
			fields:         [][]string{{shared}, {sharedToken(t, jose.HS256, mark+strings.Repeat("w", 32), "a")}},
			secrets:        []string{mark, strings.TrimPrefix(shared, "authorization: Bearer "), shared[strings.LastIndexByte(shared, '.')+1:]},
		},
		"introspection": {
			objects:        tokenClient,
			authentication: `apps: {introspection: {url: "` + newTokenServer(t).URL + `/introspect", clientSecretRef: {name: client}, audiences: [shop]}}`,
			fields:         [][]string{{"authorization: Bearer good-" + mark}, {"authorization: Bearer bad-" + mark}},
			secrets:        []string{mark, "client-secret: planted", base64Of("gateway:planted")},
		},
		"introspection by one who tells": {
			objects:        strings.Replace(tokenClient, "client-secret: planted", "client-secret: "+mark+"-client", 1),
			authentication: `apps: {introspection: {url: "` + tattler(t) + `", clientSecretRef: {name: client}, audiences: [shop]}}, keys: {` + apiKeys + `}`,
			fields:         [][]string{{"x-api-key: " + mark + "-key"}},
			more:           []string{"GET http://a/told"},
			begin: func(t *testing.T, w *World, _ *planted) {
				if a := w.Do("GET http://a/", "authorization: Bearer "+mark); a.Status != 503 {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			},
			secrets: []string{mark, base64Of("gateway:" + mark + "-client")},
		},
		"hmac": {
			objects:        hmacKey("acme", hmacSecret+mark, "") + hmacKey("short", mark, ""),
			authentication: `apps: {hmac: {selector: {matchLabels: {gatehouse.dev/hmac: orders}}}}`,
			fields:         [][]string{signed("acme", hmacSecret+mark, "GET", "/", "", ""), signed("acme", "wrong", "GET", "/", "", "")},
			refused:        signed("acme", hmacSecret+mark, "GET", "/no", "", ""),
			secrets:        []string{mark},
		},
		"kubernetes": {
			authentication: `pods: {kubernetes: {}}`, authorization: `rbac: {kubernetes: {}}`,
			options: func(o *proxy.Options) {
				o.Cluster = guard.Cluster{URL: apiServer(t, mark+"-own"), Transport: withToken(mark + "-own")}
			},
			fields:  [][]string{{"authorization: Bearer " + mark + "-pod"}, {"authorization: Bearer bad-" + mark}},
			more:    []string{"GET http://a/down"},
			secrets: []string{mark},
		},
		"externalAuth": {
			authorization: `ask: {externalAuth: {url: "` + judge(t) + `", http: {headers: [X-Team], toBackend: [X-Internal], toClient: [X-Why]}}}`,
			fields:        [][]string{{"authorization: Bearer " + mark, "cookie: s=" + mark, "x-team: " + mark}},
			more:          []string{"GET http://a/fails", "GET http://a/forbids"},
			secrets:       []string{mark},
		},
		"opa and cel": {
			authorization: `rego: {opa: {policy: "package shop\nallow if not bad\nbad if { input.request.path == \"/fails\"; to_number(input.request.headers[\"x-team\"]) > 1 }\nallow if input.request.path == \"/cel\""}}, ` +
				`number: {when: ["request.path == '/cel'"], cel: "int(request.headers['x-team']) > 1"}, day: {when: ["request.path == '/cel'"], cel: "timestamp(request.headers['x-team']) > timestamp('2026-01-01T00:00:00Z')"}`,
			fields:  [][]string{{"x-team: " + mark, "authorization: Bearer " + mark, "cookie: s=" + mark}},
			more:    []string{"GET http://a/fails", "GET http://a/cel"},
			secrets: []string{mark},
		},
		"static": {
			objects:        backendSecret(`token: ` + mark + `, wrong: "` + mark + `\nb"`),
			authentication: staff,
			response:       `credentials: {it: {header: X-Key, static: {secretRef: {name: backend, key: token}}}, bad: {header: X-Bad, when: ["request.path == '/bad'"], static: {secretRef: {name: backend, key: wrong}}}}`,
			fields:         [][]string{{bearer, "x-key: " + mark + "-forged"}, {}},
			more:           []string{"GET http://a/bad"},
			secrets:        []string{mark, token, signature},
		},
		"minted": {
			authentication: staff,
			response:       `credentials: {it: {header: X-Token, jwt: {issuer: "https://gateway.example", audiences: [orders]}}}`,
			begin: func(t *testing.T, w *World, p *planted) {
				if err := w.Server.SetSigningKeys(mark + strings.Repeat("k", 32)); err != nil {
					t.Fatal(err)
				}
				sent := w.Do("GET http://a/", bearer).Seen().Header["X-Token"]
				if len(sent) != 1 {
					t.Fatalf("the backend got %v", sent)
				}
				p.secrets = append(p.secrets, sent[0], sent[0][strings.LastIndexByte(sent[0], '.')+1:])
			},
			fields:  [][]string{{bearer}},
			secrets: []string{mark, token, signature},
		},
	}
	for _, kind := range []string{"clientCredentials", "tokenExchange"} {
		endpoint := newTokenEndpoint(t, mark+"-client")
		more := map[string]string{"clientCredentials": ", scopes: [orders]", "tokenExchange": ", audiences: [orders]"}[kind]
		client := `clientID: shop, clientSecretRef: {name: backend}`
		out[kind] = &planted{
			objects:        backendSecret("client-secret: " + mark + "-client"),
			authentication: staff,
			response: `credentials: {it: {header: X-Token, ` + kind + `: {tokenURL: "` + endpoint.URL + `", ` + client + more + `}}, ` +
				`told: {header: X-Told, when: ["request.path == '/told'"], ` + kind + `: {tokenURL: "` + tattler(t) + `", ` + client + more + `}}, ` +
				`late: {header: X-Late, when: ["request.path == '/refused'"], ` + kind + `: {tokenURL: "` + endpoint.URL + `", ` + client + `}}}`,
			fields:  [][]string{{bearer}},
			more:    []string{"GET http://a/told", "GET http://a/refused"},
			secrets: []string{mark, token, signature, base64Of("shop:" + mark + "-client")},
		}
	}
	out["introspection by one who tells"].objects += key("good", mark+"-key", "")
	return out
}

// tattler is a server that fails, and says in its answer all it was told.
func tattler(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		id, secret, _ := r.BasicAuth()
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(rw, `{"error":"invalid_client","error_description":"%s %s %s %s"}`, id, secret, r.Header.Get("Authorization"), r.Form.Encode())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// judge is a service for externalAuth that tells the backend a secret.
func judge(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Internal", mark+"-internal")
		switch r.URL.Path {
		case "/fails":
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(rw, r.Header.Get("Authorization"))
		case "/forbids":
			rw.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// withToken is a way to the API server with the gateway's own token.
type withToken string

func (token withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}

// apiServer knows pods by tokens that do not begin with "bad", if it is asked with
// the token that is its own. It fails about /down, and tells why.
func apiServer(t *testing.T, own string) string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer "+own || strings.Contains(string(content), "/down") {
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(rw, `{"kind":"Status","message":"%s %x"}`, r.Header.Get("Authorization"), content)
			return
		}
		kind := "TokenReview"
		if strings.Contains(string(content), "SubjectAccessReview") {
			kind = "SubjectAccessReview"
		}
		rw.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(rw, `{"kind":%q,"status":{"authenticated":%v,"user":{"username":"ann"},"allowed":true,"error":%q}}`,
			kind, !strings.Contains(string(content), `"bad-`), content)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What a policy keeps in Secrets, and what callers prove themselves with, is shown
// nowhere, whatever becomes of the request.
func TestNoSecretOfAPolicyIsShown(t *testing.T) {
	t.Parallel()
	cases := plantings(t)
	cases["oidc"] = plantedLogin(t)
	for name, p := range cases {
		t.Run(name, func(t *testing.T) {
			var access, own page
			rules := `rules: {authorization: {no: {cel: "request.path != '/no'"}, ` + p.authorization + `}`
			if p.authentication != "" {
				rules += `, authentication: {` + p.authentication + `}`
			}
			if p.response != "" {
				rules += `, response: {` + p.response + `}`
			}
			change := []func(*proxy.Options){logs(&access, &own)}
			if p.options != nil {
				change = append(change, p.options)
			}
			w := Start(t, Base+p.objects+Route("r", toAPI)+Auth("a", guarded, rules+"}"), change...)
			if p.begin != nil {
				p.begin(t, w, p)
			}
			shown := p.ask(t, w, &access)
			for where, text := range w.shown(&access, &own, w.conditions(w.wait())) {
				shown[where] = text
			}
			hidden(t, shown, p.secrets...)
		})
	}
}

// ask sends the requests of a case and returns what the gateway itself says to
// them, and of them afterwards.
func (p *planted) ask(t *testing.T, w *World, access *page) map[string]string {
	var answers strings.Builder
	shown := map[string]string{}
	send := func(want int, line string, fields ...string) {
		t.Helper()
		a := w.Do(line, fields...)
		if want != 0 && a.Status != want || want == 0 && a.Status < 300 && a.Seen().Service == "" {
			t.Errorf("%s %.30s: %d %s, want %d", line, fields, a.Status, a.Code(), want)
		}
		if a.Seen().Service != "" {
			return // the backend's own answers echo what it was sent
		}
		answers.WriteString(a.Body + fmt.Sprint(a.Header))
		if id := a.Problem().ID; id != "" {
			shown["gatehouse why after "+line+" "+a.Code()] = why(t, w, id)
			text, err := gatehouse(t, w, "why", id, "--output", "json")
			if err != nil {
				t.Error(err)
			}
			shown["gatehouse why --output json after "+line+" "+a.Code()] = text
			w.Until("the request is logged", func() bool { return strings.Contains(access.String(), id) })
		}
	}
	if p.refused == nil {
		p.refused = p.fields[0]
	}
	send(200, "GET http://a/", p.fields[0]...)
	send(403, "GET http://a/no", p.refused...)
	for _, fields := range p.fields[1:] {
		send(401, "GET http://a/", fields...)
	}
	for _, line := range p.more {
		send(0, line, p.fields[0]...)
	}
	for _, path := range []string{"/", "/no"} {
		for _, form := range []string{"text", "json"} {
			args := []string{"explain", "GET", "http://a" + path, "--output", form}
			for _, f := range p.fields[0] {
				args = append(args, "-H", f)
			}
			text, err := gatehouse(t, w, args...)
			if err != nil {
				t.Error(err)
			}
			shown["gatehouse explain "+path+" as "+form] = text
		}
	}
	shown["an answer"] = answers.String()
	return shown
}

// plantedLogin is a login at a provider that gives out planted tokens.
func plantedLogin(t *testing.T) *planted {
	issuer := NewIssuer(t)
	var mu sync.Mutex
	var idToken, nonce string
	provider := httptest.NewUnstartedServer(nil)
	provider.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		switch _, secret, _ := r.BasicAuth(); {
		case r.URL.Path == "/.well-known/openid-configuration":
			_, _ = fmt.Fprintf(rw, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, provider.URL, provider.URL+"/authorize", provider.URL+"/token", issuer.KeySetURL())
		case r.URL.Path != "/token" || secret != mark+"-client" || r.PostFormValue("code") != mark+"-code":
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(rw, `{"error":"invalid_grant","error_description":"%s %s"}`, secret, r.PostFormValue("code"))
		default:
			idToken = issuer.Token(`"iss":"`+provider.URL+`"`, `"nonce":"`+nonce+`"`)
			_, _ = fmt.Fprintf(rw, `{"access_token":"%s-access","refresh_token":"%s-refresh","token_type":"Bearer","expires_in":300,"id_token":%q}`, mark, mark, idToken)
		}
	})
	provider.Start()
	t.Cleanup(provider.Close)
	return &planted{
		objects:        "apiVersion: v1\nkind: Secret\nmetadata: {name: client, namespace: shop}\nstringData: {client-secret: " + mark + "-client}\n---\n",
		authentication: `people: {oidc: {issuer: "` + provider.URL + `", clientID: shop, clientSecretRef: {name: client}, forwardAccessToken: {header: X-Token}}}`,
		fields:         [][]string{nil, {"cookie: PLACE"}},
		more:           []string{"GET http://a/oauth2/callback?code=" + mark + "-wrong&state=" + mark},
		secrets:        []string{mark},
		begin: func(t *testing.T, w *World, p *planted) {
			var invited Answer
			w.Until("a login is offered", func() bool {
				invited = w.Do("GET http://a/", "accept: text/html")

				return invited.Status == 303
			})
			to, err := url.Parse(invited.Header.Get("Location"))
			if err != nil || to.Path != "/authorize" {
				t.Fatalf("%v %v", err, invited.Header)
			}
			mu.Lock()
			nonce = to.Query().Get("nonce")
			mu.Unlock()
			state, began := to.Query().Get("state"), cookieOf(invited)
			back := func(code string) Answer {
				return w.Do("GET http://a/oauth2/callback?code="+code+"&state="+url.QueryEscape(state), "accept: text/html", "cookie: "+began)
			}
			if a := back(mark + "-wrong"); a.Status < 400 {
				t.Errorf("a wrong code: %d", a.Status)
			}
			a := back(mark + "-code")
			if a.Status != 303 {
				t.Fatalf("the login came back: %d %s", a.Status, a.Body)
			}
			session := cookieOf(a)
			_, token, _ := strings.Cut(session, "=")
			_, binding, _ := strings.Cut(began, "=")
			p.fields = [][]string{{"cookie: " + session}, {"cookie: " + session[:len(session)-6] + "AAAAAA"}}
			mu.Lock()
			p.secrets = append(p.secrets, token, token[:len(token)-6], binding, state, nonce, idToken, idToken[strings.LastIndexByte(idToken, '.')+1:])
			mu.Unlock()
			if a := w.Do("GET http://a/", p.fields[0]...); strings.Join(a.Seen().Header["X-Token"], ",") != mark+"-access" {
				t.Errorf("the backend got %d %s", a.Status, a.Body)
			}
		},
	}
}

// cookieOf is the last cookie an answer sets that is not taken back by it.
func cookieOf(a Answer) (pair string) {
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			pair = c.Name + "=" + c.Value
		}
	}
	return pair
}
