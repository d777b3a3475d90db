package keyset

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds of a fetch.
const (
	maxDocument  = 1 << 20
	maxRedirects = 3
	timeout      = 5 * time.Second
)

// Lifetimes of a fetched set. Cache-Control may move it between the two ends.
const (
	minLifetime = time.Minute
	lifetime    = 10 * time.Minute
	maxLifetime = time.Hour
)

// client asks providers.
func client(transport http.RoundTripper) *remote.Client {
	if transport == nil {
		transport = remote.NewTransport(1, nil)
	}
	return remote.NewClient(remote.Config{Transport: transport, Timeout: timeout, MaxAnswer: maxDocument, Redirects: maxRedirects})
}

// endpoints is the way to a backend, which is looked up for each request: the
// set outlives tables.
type endpoints struct {
	through func(backend string, http2 bool) http.RoundTripper
	backend string
}

// RoundTrip implements http.RoundTripper.
func (e endpoints) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.through == nil {
		return nil, fmt.Errorf("there are no backends here; fetch the key set of %s from a URL", e.backend)
	}
	return e.through(e.backend, false).RoundTrip(r)
}

// fetched is what a fetch brought.
type fetched struct {
	keys     []auth.Key
	fresh    time.Duration // for so long
	metadata []byte        // the issuer's, where the keys were discovered
}

// fetch gets the keys of t.
func fetch(ctx context.Context, c *remote.Client, t *table.KeySet) (out fetched, err error) {
	uri := t.URI
	if t.Backend != "" {
		uri = "http://" + remote.Authority(t.Backend, "key-set") + t.Path
	}
	if t.Discovery != "" {
		if uri, out.metadata, err = discover(ctx, c, t.Discovery); err != nil {
			return fetched{}, err
		}
	}
	answer, err := c.Get(ctx, uri, "application/jwk-set+json, application/json")
	if err != nil {
		return fetched{}, err
	}
	out.fresh = freshness(strings.Join(answer.Header.Values("Cache-Control"), ","))
	out.keys, err = Parse(answer.Content)
	return out, err
}

// discover returns the jwks_uri of an issuer's metadata, and that document.
func discover(ctx context.Context, c *remote.Client, issuer string) (string, []byte, error) {
	document, err := c.Metadata(ctx, issuer)
	if err != nil {
		return "", nil, err
	}
	var metadata struct {
		URI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(document, &metadata); err != nil {
		return "", nil, fmt.Errorf("the metadata of %s: %w", issuer, err)
	}
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(metadata.URI, "https:") {
		return "", nil, fmt.Errorf("the metadata of %s has the jwks_uri %q; it must be https", issuer, metadata.URI)
	}
	return metadata.URI, document, nil
}

// freshness reads max-age, the first one if there are several, unless no-store or
// no-cache is said before or behind it (RFC 9111, sections 4.2.1 and 5.2.2).
func freshness(cacheControl string) time.Duration {
	fresh, said := lifetime, false
	for part := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
		switch name {
		case "no-store", "no-cache":
			return minLifetime
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil && !said {
				fresh = min(max(time.Duration(n)*time.Second, minLifetime), maxLifetime)
			}
			said = true
		}
	}
	return fresh
}
