package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

var (
	errRefused = errors.New("introspection: the server does not take the client's credentials")
	errInvalid = errors.New("introspection: the answer cannot be understood")
)

// ask asks the server about token.
func (s *Server) ask(ctx context.Context, token string) (*verdict, remote.Life, error) {
	endpoint := s.endpoint
	if endpoint == "" {
		var err error
		if endpoint, err = s.owner.issuers.Endpoint(ctx, s.t.Issuer); errors.Is(err, remote.ErrEndpoint) {
			err = fmt.Errorf("%w: %w", errInvalid, err)
		}
		if err != nil {
			return nil, remote.Life{}, err
		}
	}
	r, err := s.request(ctx, endpoint, token)
	if err != nil {
		return nil, remote.Life{}, err
	}
	a, err := s.client.Do(r)
	if err != nil {
		return nil, remote.Life{}, err
	}
	document, err := read(a)
	if err != nil {
		return nil, remote.Life{}, err
	}
	v, err := s.judge(document)
	if err != nil {
		return nil, remote.Life{}, err
	}
	life := s.life(v, s.owner.cfg.Now().Unix())
	if v.claims != nil {
		life.Bytes = remote.Weight(a.Content)
	}
	return v, life, nil
}

// request is what the server is sent (RFC 7662, section 2.1), with the client's
// credentials (RFC 6749, section 2.3.1).
func (s *Server) request(ctx context.Context, endpoint, token string) (*http.Request, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if s.t.Post {
		form.Set("client_id", s.t.ClientID)
		form.Set("client_secret", string(s.t.ClientSecret))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint", errInvalid)
	}
	if !s.t.Post {
		r.SetBasicAuth(url.QueryEscape(s.t.ClientID), url.QueryEscape(string(s.t.ClientSecret)))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	return r, nil
}
