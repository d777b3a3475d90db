package keyset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
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

// client follows redirects only to https on the host that was asked.
func client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		Timeout:   timeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects || r.URL.Scheme != "https" || r.URL.Host != via[0].URL.Host {
				return fmt.Errorf("redirected to %s://%s; only https on the same host is followed", r.URL.Scheme, r.URL.Host)
			}
			return nil
		},
	}
}

// fetch gets the keys of t, and how long they are fresh.
func fetch(ctx context.Context, c *http.Client, t *table.KeySet) ([]auth.Key, time.Duration, error) {
	uri := t.URI
	if t.Discovery != "" {
		var err error
		if uri, err = discover(ctx, c, t.Discovery); err != nil {
			return nil, 0, err
		}
	}
	document, fresh, err := get(ctx, c, uri)
	if err != nil {
		return nil, 0, err
	}
	keys, err := Parse(document, false)
	return keys, fresh, err
}

// discover returns the jwks_uri of an issuer's metadata: OpenID Connect
// Discovery, section 4, and where that is not found, RFC 8414, section 3.
func discover(ctx context.Context, c *http.Client, issuer string) (string, error) {
	document, _, err := get(ctx, c, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if errors.Is(err, errNotFound) {
		u, bad := url.Parse(issuer)
		if bad != nil {
			return "", bad
		}
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		document, _, err = get(ctx, c, u.String())
	}
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		URI    string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(document, &metadata); err != nil {
		return "", fmt.Errorf("the metadata of %s is not JSON: %w", issuer, err)
	}
	if metadata.Issuer != issuer {
		return "", fmt.Errorf("the metadata of %s names the issuer %q; the two must be equal", issuer, metadata.Issuer)
	}
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(metadata.URI, "https:") {
		return "", fmt.Errorf("the metadata of %s has the jwks_uri %q; it must be https", issuer, metadata.URI)
	}
	return metadata.URI, nil
}

var errNotFound = errors.New("not found")

func get(ctx context.Context, c *http.Client, uri string) ([]byte, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	r.Header.Set("User-Agent", "gatehouse")
	answer, err := c.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return nil, 0, fmt.Errorf("%s: %w", uri, errNotFound)
	case answer.StatusCode != http.StatusOK:
		return nil, 0, fmt.Errorf("%s answered %d", uri, answer.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", uri, err)
	}
	if len(document) > maxDocument {
		return nil, 0, fmt.Errorf("%s answered more than %d bytes", uri, maxDocument)
	}
	return document, freshness(answer.Header.Get("Cache-Control")), nil
}

// freshness reads max-age (RFC 9111, section 5.2.2).
func freshness(cacheControl string) time.Duration {
	for part := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
		switch name {
		case "no-store", "no-cache":
			return minLifetime
		case "max-age":
			n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return lifetime
			}
			return min(max(time.Duration(n)*time.Second, minLifetime), maxLifetime)
		}
	}
	return lifetime
}
