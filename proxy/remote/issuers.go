package remote

import (
	"context"
	"net/http"
	"time"
)

// What is remembered of issuers.
const (
	maxIssuers       = 256
	discoveryTimeout = 5 * time.Second
	discoveryFresh   = 10 * time.Minute
	discoveryStale   = 24 * time.Hour
)

// Issuers finds the endpoints that issuers' metadata name (RFC 8414, section 2),
// and remembers them: asked again after ten minutes, used for a day meanwhile.
type Issuers struct {
	name   string
	known  *Cache[string]
	client *Client
}

// NewIssuers makes Issuers that look for the endpoint of that name, such as
// introspection_endpoint. Close it.
func NewIssuers(name string, t http.RoundTripper, rest Backoff, now func() time.Time) *Issuers {
	return &Issuers{
		name:   name,
		known:  NewCache[string](CacheConfig{Size: maxIssuers, Backoff: rest, Now: now}),
		client: NewClient(Config{Transport: t, Timeout: discoveryTimeout, Redirects: 3, Now: now}),
	}
}

// Endpoint returns the endpoint of an issuer: an https URL, or an http one of an
// issuer of http. The error may be ErrEndpoint.
func (i *Issuers) Endpoint(ctx context.Context, issuer string) (string, error) {
	return i.known.Load(ctx, issuer, func(ctx context.Context) (string, Life, error) {
		endpoint, err := i.client.Endpoint(ctx, issuer, i.name)
		return endpoint, Life{Fresh: discoveryFresh, Stale: discoveryStale}, err
	})
}

// Close ends what is under way.
func (i *Issuers) Close() {
	i.known.Close()
	i.client.Close()
}
