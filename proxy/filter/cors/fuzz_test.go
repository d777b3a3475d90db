package cors

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// FuzzOrigin: an Origin that is let in is one of those that were written, by what another
// reader of URLs makes of it too.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://a.example.com", "https://A.b.Example.com:443", "https://example.com", "https://evil.example/.example.com", "https://evil.example#.example.com",
		"https://x@evil.example:.example.com", "https://[::1].example.com", "http://b.test:8080", "http://b.test:8080/", "http://b.test", "null", "*", "https://",
	} {
		f.Add(seed)
	}
	filter, err := New(&table.CORS{Origins: []string{"https://*.example.com", "http://b.test:8080"}, Credentials: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, from string) {
		got := filter.share(from)
		if got == "" {
			return
		}
		if got != from {
			t.Fatalf("%q is let in as %q", from, got)
		}
		u, err := url.Parse(from)
		if err != nil {
			return
		}
		host := strings.ToLower(u.Hostname())
		wild := u.Scheme == "https" && strings.HasSuffix(host, ".example.com") && (u.Port() == "" || u.Port() == "443")
		if !wild && (u.Scheme != "http" || host != "b.test" || u.Port() != "8080") || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is let in: %+v", from, u)
		}
	})
}
