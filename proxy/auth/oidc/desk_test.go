package oidc

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// desk is a token endpoint that answers as a test wants.
type desk struct {
	answer func(form url.Values) (status int, content string)
	asked  atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(content))
	if err != nil {
		return nil, err
	}
	d.asked.Add(1)
	status, answer := d.answer(form)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

// alike is a method of m's client, with the same store and cache, that change has
// made another of.
func alike(t testing.TB, m *Method, change func(*table.OIDC, *Needs)) *Method {
	t.Helper()
	config, needs := *m.config, m.needs
	change(&config, &needs)
	o, err := New(&config, needs)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// at is a method whose token endpoint is d.
func at(t testing.TB, d *desk) *Method {
	t.Helper()
	return alike(t, newMethod(t), func(_ *table.OIDC, n *Needs) { n.Transport = d })
}

// asks has m judge a request with a session's cookie, and returns the access token it found.
func asks(t testing.TB, m *Method, token string, want auth.Outcome) string {
	t.Helper()
	x := request("GET", "/app", "cookie", m.names.Session+"="+token)
	if r := m.Authenticate(x, &x.Principal); r.Outcome != want {
		t.Fatalf("%+v, want outcome %v", r, want)
	}
	return x.Principal.Token
}
