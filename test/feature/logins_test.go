package feature

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// desk is an OpenID provider whose codes are nonces.
type desk struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // clients whose codes it took
}

func newDesk(t *testing.T) *desk {
	issuer := NewIssuer(t)
	d := &desk{}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = fmt.Fprintf(rw, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"userinfo_endpoint":%q,"jwks_uri":%q}`,
				d.URL, d.URL+"/authorize", d.URL+"/token", d.URL+"/userinfo", issuer.KeySetURL())
			return
		}
		if r.URL.Path == "/userinfo" {
			_, _ = fmt.Fprint(rw, `{"sub":"ann","tier":"gold"}`)
			return
		}
		client, secret, _ := r.BasicAuth()
		if r.URL.Path != "/token" || secret != "secret-of-"+client {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		d.mu.Lock()
		d.asked = append(d.asked, client)
		d.mu.Unlock()
		token := issuer.Token(`"iss":"`+d.URL+`"`, `"sub":"ann"`, `"aud":"`+client+`"`, `"nonce":"`+r.PostFormValue("code")+`"`)
		_, _ = fmt.Fprintf(rw, `{"access_token":"a","token_type":"Bearer","expires_in":300,"id_token":%q}`, token)
	}))
	d.Start()
	t.Cleanup(d.Close)
	return d
}

// logIn follows an invitation, and returns the session's cookie.
func (d *desk) logIn(t *testing.T, w *World, page, client, cookies string) string {
	t.Helper()
	var invited Answer
	w.Until("a login is offered", func() bool {
		invited = w.Do("GET "+page, "accept: text/html", "cookie: "+cookies)
		return invited.Status == 303
	})
	to, err := url.Parse(invited.Header.Get("Location"))
	if err != nil || to.Query().Get("client_id") != client {
		t.Fatalf("%s: %v %v", page, err, invited.Header)
	}
	q := to.Query()
	back := w.Do("GET "+q.Get("redirect_uri")+"?code="+q.Get("nonce")+"&state="+url.QueryEscape(q.Get("state")), "accept: text/html", "cookie: "+cookieOf(invited)+"; "+cookies)
	if back.Status != 303 || !strings.HasSuffix(page, back.Header.Get("Location")) {
		t.Fatalf("%s: the login came back: %d %v %s", page, back.Status, back.Header, back.Body)
	}
	return cookieOf(back)
}

// Clients of one host whose logins come back to one path get each its own, whichever
// policy has it first, and policies of one client too.
func TestLoginsOfSeveralClientsComeBackToOnePath(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	method := func(client, more string) string {
		return `rules: {authentication: {people: {oidc: {issuer: "` + d.URL + `", clientID: ` + client + `, clientSecretRef: {name: ` + client + `}, logoutPath: /logout` + more + `}}}}`
	}
	secret := func(client string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + client + ", namespace: shop}\nstringData: {client-secret: secret-of-" + client + "}\n---\n"
	}
	rule := func(name string) string {
		return `{name: ` + name + `, matches: [{path: {value: /` + name + `}}], ` + toAPI[1:]
	}
	w := Start(t, Base+secret("one")+secret("two")+secret("three")+
		HostRoute("r", "a.example", rule("one"), rule("two"), rule("known"))+HostRoute("wild", "'*.example'", rule("three"))+
		Auth("one", "HTTPRoute/r/one", method("one", ""))+Auth("two", "HTTPRoute/r/two", method("two", ""))+
		Auth("known", "HTTPRoute/r/known", method("one", ", userInfo: true, session: {cookieName: known}"))+Auth("three", "HTTPRoute/wild/three", method("three", "")))
	sessions := map[string]string{}
	for page, client := range map[string]string{"one": "one", "two": "two", "known": "one", "three": "three"} {
		sessions[page] = d.logIn(t, w, "http://a.example/"+page, client, "")
	}
	for page, session := range sessions {
		if a := w.Do("GET http://a.example/"+page, "accept: text/html", "cookie: "+session); a.Status != 200 {
			t.Errorf("%s with its session: %d %s", page, a.Status, a.Body)
		}
	}
	for page, session := range sessions {
		if a := w.Do("GET http://a.example/logout", "cookie: "+session); a.Status != 200 && a.Status != 303 {
			t.Errorf("a logout of %s: %d %s", page, a.Status, a.Body)
		}
		if a := w.Do("GET http://a.example/"+page, "cookie: "+session); a.Status != 401 {
			t.Errorf("%s after a logout: %d", page, a.Status)
		}
	}
	if a := w.Do("GET http://a.example/oauth2/callback?code=x&state=nobodys", "accept: text/html"); a.Status != 400 {
		t.Errorf("a state of nobody's: %d %s", a.Status, a.Body)
	}
}
