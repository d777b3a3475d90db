package oidc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func TestUserInfo(t *testing.T) {
	answers := map[string]string{
		"good": `{"sub":"ann","groups":["a"]}`, "other": `{"sub":"bob"}`, "nobody": `{}`, "rubbish": `{`,
		"huge": `{"sub":"ann","x":"` + strings.Repeat("x", maxInfo) + `"}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case r.URL.Path == "/elsewhere":
			t.Error("the token was sent elsewhere")
		case token == "moved":
			http.Redirect(rw, r, "/elsewhere", http.StatusFound)
		case answers[token] == "":
			rw.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = rw.Write([]byte(answers[token]))
	}))
	defer s.Close()
	document := fmt.Sprintf(`{"authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t","userinfo_endpoint":"%[1]s/u"}`, s.URL)
	p := newProvider(&table.OIDC{Issuer: s.URL}, Needs{Metadata: func() []byte { return []byte(document) }})
	for token, want := range map[string]bool{"good": true, "other": false, "nobody": false, "rubbish": false, "huge": false, "moved": false, "expired": false, "": false} {
		if got := p.userInfo(token, "ann"); (got != nil) != want {
			t.Errorf("%s: %.40s", token, got)
		}
	}
	claims := map[string]any{"sub": "ann", "email": "signed"}
	inform(claims, []byte(`{"sub":"bob","email":"unsigned","groups":["a"],"sid":"1"}`))
	inform(claims, []byte(`{`))
	inform(claims, nil)
	if got := fmt.Sprint(claims); got != "map[email:signed groups:[a] sub:ann]" {
		t.Error(got)
	}
	p.client.CloseIdleConnections()
}
