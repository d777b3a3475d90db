package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr/funcr"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// nowhere is a transport whose requests get nowhere.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nowhere 10.0.0.1:4711->192.0.2.1:53: timeout")
}

// late is a transport that fails once.
type late struct{ asked atomic.Bool }

func (l *late) RoundTrip(*http.Request) (*http.Response, error) {
	if !l.asked.Swap(true) {
		return nil, errors.New("not yet")
	}
	const keys = `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(keys))}, nil
}

// Whoever has read that keys could not be fetched reads when they are.
func TestKeySetsThatComeLate(t *testing.T) {
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	tab.KeySets = []*table.KeySet{{ID: "late", URI: "https://issuer.example/keys"}}
	said := make(chan string, 100)
	start(t, tab, func(o *proxy.Options) {
		o.KeySets = &late{}
		o.Log = funcr.New(func(_, line string) { said <- line }, funcr.Options{})
	})
	within(t, "both are said", func() bool { return len(said) >= 2 })
	if failed, fetched := <-said, <-said; !strings.Contains(failed, "there is none yet") || !strings.Contains(fetched, `"msg"="a key set was fetched again" "keySet"="late" "failures"=1`) {
		t.Errorf("%s\n%s", failed, fetched)
	}
}

// Whoever watches is told of keys that could never be fetched, and of none that the
// configuration itself has: those grow old and are not at fault.
func TestKeySetsThatAreMissing(t *testing.T) {
	tab := one(map[string]*table.Action{"/": to("ns/svc:80")})
	tab.KeySets = []*table.KeySet{
		{ID: "away", URI: "https://issuer.example/keys"},
		{ID: "here", Inline: []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)},
	}
	s := start(t, tab, func(o *proxy.Options) { o.KeySets = nowhere{} })
	contains(t, s.metrics(), `gatehouse_key_set_missing{key_set="away"} 1`)
	if m := s.metrics(); strings.Contains(m, `{key_set="here"}`) || strings.Contains(m, `gatehouse_key_set_age_seconds{`) {
		t.Error("keys have an age that are not fetched, or were not yet")
	}
	why := s.KeySetsMissing
	within(t, "it has failed", func() bool { return why()["away"] != "" })
	if got := why(); len(got) != 1 || got["away"] != `Get "https://issuer.example/keys": nowhere 192.0.2.1:53: timeout` {
		t.Errorf("%q", got)
	}
	s.swap(one(map[string]*table.Action{"/": to("ns/svc:80")}))
	if strings.Contains(s.metrics(), `{key_set="away"}`) {
		t.Error("a key set is missed that nobody wants any more")
	}
}
