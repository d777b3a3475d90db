package oidc

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// sink keeps what is written.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// No credential is in a log, a metric, a debug page or an answer.
func TestSecretsStayInside(t *testing.T) {
	p, r := NewProvider(t, callback), NewRedis(t)
	log, access := &sink{}, &sink{}
	var now clock
	w := start(t, p, "forwardAccessToken: {}\n          "+inRedis, now.set, func(o *proxy.Options) {
		o.Log = funcr.New(func(prefix, args string) { _, _ = log.Write([]byte(prefix + args + "\n")) }, funcr.Options{Verbosity: 10})
		o.AccessLog = proxy.AccessLog{Writer: access, Share: 1}
	})
	w.Apply(r.secret())
	b := NewBrowser(t, w)
	in(t, b)
	secrets := []string{clientSecret, "planted-redis-password", cookie(t, b).Value}
	for _, c := range b.client.Jar.Cookies(mustURL(app)) {
		secrets = append(secrets, c.Value)
	}
	var answers []string
	add := func(page Page) { answers = append(answers, page.Body, strings.Join(page.Header["Location"], "")) }
	add(b.Get(callback + "?code=planted-code&state=x"))
	now.pass(6 * 60e9)
	p.Fault(broken)
	still(t, b, "while it cannot be refreshed")
	r.Stop()
	add(NewBrowser(t, w).Get(app))
	add(b.Post("http://shop.example/backchannel", url.Values{"logout_token": {"planted.logout.token"}}))
	p.Fault(nil)
	secrets = append(secrets, "planted-code", "planted.logout.token")
	secrets = append(secrets, p.tokens...)

	places := map[string]string{"the log": log.String(), "the access log": access.String(), "an answer": strings.Join(answers, "\n")}
	for _, path := range []string{"/metrics", "/debug/table", "/debug/decisions"} {
		answer, err := http.Get("http://" + w.Server.AdminAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		places[path] = string(body)
	}
	if !strings.Contains(places["/metrics"], `gatehouse_oidc_events_total{event="logged_in"} 1`) {
		t.Error("the login is not counted")
	}
	for where, text := range places {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s has %.30s…", where, secret)
			}
		}
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
