package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// errNotFound is a service's answer of 404.
var errNotFound = errors.New("not found")

// Get asks for a document. An answer other than 200 is an error.
func (c *Client) Get(ctx context.Context, uri, accept string) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "gatehouse")
	answer, err := c.Do(r)
	switch {
	case err != nil:
		return nil, err
	case answer.Status == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", uri, errNotFound)
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("%s answered %d", uri, answer.Status)
	}
	return answer, nil
}

// Metadata asks an issuer for what it says of itself, and returns that document:
// OpenID Connect Discovery, section 4, and where that is not found, RFC 8414,
// section 3. The document names the issuer by the same name.
func (c *Client) Metadata(ctx context.Context, issuer string) ([]byte, error) {
	answer, err := c.Get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", "application/json")
	if errors.Is(err, errNotFound) {
		u, bad := url.Parse(issuer)
		if bad != nil {
			return nil, bad
		}
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		answer, err = c.Get(ctx, u.String(), "application/json")
	}
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(answer.Content, &metadata); err != nil {
		return nil, fmt.Errorf("the metadata of %s is not JSON: %w", issuer, err)
	}
	if metadata.Issuer != issuer {
		return nil, fmt.Errorf("the metadata of %s names the issuer %q; the two must be equal", issuer, metadata.Issuer)
	}
	return answer.Content, nil
}

// ParseURL reads the URL of a service as policies write it: http or https with a
// host, and without user and fragment. It returns nil for any other.
func ParseURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" || u.User != nil {
		return nil
	}
	return u
}

// ErrEndpoint says that an issuer's metadata names no usable endpoint.
var ErrEndpoint = errors.New("remote: the metadata names no usable endpoint")

// Endpoint returns the endpoint that an issuer's metadata names, such as
// introspection_endpoint: an https URL, or an http one of an issuer of http.
func (c *Client) Endpoint(ctx context.Context, issuer, name string) (string, error) {
	document, err := c.Metadata(ctx, issuer)
	if err != nil {
		return "", err
	}
	var metadata map[string]any
	if err := json.Unmarshal(document, &metadata); err != nil {
		return "", fmt.Errorf("%w: %w", ErrEndpoint, err)
	}
	endpoint, _ := metadata[name].(string)
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(issuer, "https:")) {
		return "", fmt.Errorf("%w: that of %s has the %s %q, which must be an https URL", ErrEndpoint, issuer, name, endpoint)
	}
	return endpoint, nil
}

// AskUserInfo makes the request that asks a provider about the user whose access
// token it is (OpenID Connect Core 1.0, section 5.3.1).
func AskUserInfo(endpoint, token string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	return r, nil
}

// Authority makes a host of a backend's ID: shop/authz:9000 is authz.shop:9000.
// It is otherwise where the ID is of another form.
func Authority(backend, otherwise string) string {
	namespace, rest, ok := strings.Cut(backend, "/")
	name, port, _ := strings.Cut(rest, ":")
	if !ok || name == "" {
		return otherwise
	}
	port, _, _ = strings.Cut(port, " ")
	return name + "." + namespace + ":" + port
}
