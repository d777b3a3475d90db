package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds of calling a token endpoint.
const (
	callTime        = 5 * time.Second
	refreshTime     = 20 * time.Second // what a provider answers later is lost, and with it the session where refresh tokens are good once
	loginsAtOnce    = 32               // others wait, for callTime at most
	callbacksAtOnce = 4 * loginsAtOnce // further ones are told to come again: anybody can make them up, and they have places among the requests in flight
	callsAtOnce     = 64               // and as many refreshes: strangers' logins leave them room
	patience        = 3                // failures in a row, after which it is left alone
	restFirst       = time.Second
	restLast        = 30 * time.Second
)

// metadata is what we need of a provider's (OpenID Connect Discovery, section 3).
type metadata struct {
	document string

	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	NamesItself   bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// provider is one provider's endpoints, as one client calls them.
type provider struct {
	config  *table.OIDC
	fetched func() []byte
	client  *http.Client
	patient *http.Client // for refreshes
	now     func() time.Time
	last    *atomic.Pointer[metadata]
	logins  chan struct{} // as many as ask at a time
}

func newProvider(t *table.OIDC, n Needs) provider {
	client := func(timeout time.Duration) *http.Client {
		return remote.NewClient(remote.Config{
			Transport: n.Transport, Timeout: timeout, Calls: callsAtOnce, Patience: patience,
			Backoff: remote.Backoff{First: restFirst, Last: restLast}, Now: n.Now,
		}).HTTP()
	}
	return provider{
		config: t, fetched: n.Metadata, client: client(callTime), patient: client(refreshTime), now: n.Now,
		last: &atomic.Pointer[metadata]{}, logins: make(chan struct{}, loginsAtOnce),
	}
}

// metadata returns what was last fetched and is usable; nil while nothing was.
func (p *provider) metadata() *metadata {
	document, last := p.fetched(), p.last.Load()
	if document == nil || last != nil && last.document == string(document) {
		return last
	}
	md := &metadata{document: string(document)}
	if json.Unmarshal(document, md) != nil || !p.usable(md.Authorization) || !p.usable(md.Token) {
		return last
	}
	if !p.usable(md.EndSession) {
		md.EndSession = ""
	}
	p.last.Store(md)
	return md
}

// usable reports whether an endpoint is a URL we go to: https, unless the issuer
// itself is not.
func (p *provider) usable(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Host != "" && u.Fragment == "" &&
		(u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(p.config.Issuer, "http:"))
}

// exchange gets the tokens for a code. The cause of a failure is CodeCode where
// the provider refuses the code, CodeClient where it refuses us.
func (p *provider) exchange(redirectURI, code, verifier string) (*record, string) {
	late := time.NewTimer(callTime)
	defer late.Stop()
	select {
	case p.logins <- struct{}{}:
		defer func() { <-p.logins }()
	case <-late.C:
		return nil, CodeProvider
	}
	r, failure := p.call(p.client, redirectURI, func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	})
	if failure == "" && r.IDToken == "" {
		failure = CodeToken
	}
	return r, failure
}

// refresh gets new tokens for a refresh token; CodeCode where the provider
// refuses it.
func (p *provider) refresh(token string) (*record, string) {
	return p.call(p.patient, "", func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.TokenSource(ctx, &oauth2.Token{RefreshToken: token}).Token()
	})
}

// call calls the token endpoint on the caller's own goroutine.
func (p *provider) call(client *http.Client, redirectURI string, do func(context.Context, *oauth2.Config) (*oauth2.Token, error)) (*record, string) {
	md := p.metadata()
	if md == nil {
		return nil, CodeProvider
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	c := &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: string(p.config.ClientSecret), RedirectURL: redirectURI,
		Endpoint: oauth2.Endpoint{TokenURL: md.Token, AuthStyle: md.style()},
	}
	t, err := do(ctx, c)
	if err != nil {
		return nil, judge(err)
	}
	r := &record{Access: t.AccessToken, Refresh: t.RefreshToken}
	r.IDToken, _ = t.Extra("id_token").(string)
	if !t.Expiry.IsZero() {
		// The library counts from its own clock; ours may be another one.
		life := int64(time.Until(t.Expiry).Round(time.Second) / time.Second)
		r.Expires = p.now().Unix() + life
		r.Due = r.Expires - min(refreshAhead, life/2)
	}
	return r, ""
}

// style is how the client proves who it is: by a header, unless the provider
// takes it in the form only.
func (md *metadata) style() oauth2.AuthStyle {
	if len(md.AuthMethods) > 0 && !slices.Contains(md.AuthMethods, "client_secret_basic") &&
		slices.Contains(md.AuthMethods, "client_secret_post") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// judge says whose fault an error is. Its text is not kept: it may hold what the
// provider sent.
func judge(err error) string {
	var refusal *oauth2.RetrieveError
	if errors.As(err, &refusal) && refusal.Response != nil && refusal.Response.StatusCode/100 == 4 {
		switch refusal.ErrorCode {
		case "invalid_grant",
			"interaction_required", "login_required", "consent_required", "access_denied": // it wants to see the user
			return CodeCode
		case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request":
			return CodeClient
		}
	}
	return CodeProvider
}
