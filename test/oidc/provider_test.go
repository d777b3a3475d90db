package oidc

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What the provider knows.
const (
	clientID     = "shop"
	clientSecret = "planted-client-secret-4711"
	user         = "test-user2"
	admin        = "test-user@127.0.0.1"
	password     = "verysecure"
	subject      = "id2"
)

// Provider is zitadel's example server, which a test can break.
type Provider struct {
	t      testing.TB
	server *httptest.Server
	op     http.Handler
	users  *users

	clients map[string]*storage.Client

	mu     sync.Mutex
	fault  http.HandlerFunc // nil: none
	calls  map[string]int   // by path
	tokens []string         // what the token endpoint gave out
}

// users is the example's storage with larger ID tokens, and clients that may come
// back after a logout.
type users struct {
	*storage.Storage
	mu    sync.Mutex
	claim string           // a claim "big" of every ID token
	keys  *storage.Storage // whose key signs
	sid   string           // the session's id at the provider

	goodbye string // where logouts may lead
}

// client is the example's client whose ID tokens have all claims.
type client struct {
	op.Client
	goodbye string
}

func (client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) PostLogoutRedirectURIs() []string   { return []string{c.goodbye} }

// Rotate makes it sign with another key.
func (u *users) Rotate() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys = storage.NewStorage(storage.NewUserStore("http://localhost"))
}

func (u *users) signer() *storage.Storage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keys
}

func (u *users) SigningKey(ctx context.Context) (op.SigningKey, error) {
	return u.signer().SigningKey(ctx)
}
func (u *users) KeySet(ctx context.Context) ([]op.Key, error) { return u.signer().KeySet(ctx) }

func (u *users) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := u.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c, u.goodbye}, nil
}

func (u *users) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string) error {
	if err := u.Storage.SetUserinfoFromRequest(ctx, info, token, scopes); err != nil {
		return err
	}
	return u.extend(info)
}

func (u *users) extend(info *oidc.UserInfo) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.claim != "" {
		info.AppendClaims("big", u.claim)
	}
	info.AppendClaims("sid", u.sid)
	return nil
}

// NewProvider starts one that sends logins back to redirects.
func NewProvider(t testing.TB, redirects ...string) *Provider {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	p := &Provider{t: t, calls: map[string]int{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	p.clients = map[string]*storage.Client{clientID: storage.WebClient(clientID, clientSecret, redirects...)}
	store := storage.NewStorageWithClients(storage.NewUserStore(p.URL()), p.clients)
	p.users = &users{Storage: store, sid: "sid-1", keys: store, goodbye: "http://shop.example/bye"}
	p.op = exampleop.SetupServer(p.URL(), p.users, slog.New(slog.NewTextHandler(io.Discard, nil)), false)
	return p
}

// register sends logins and logouts back elsewhere, if nobody logs in yet.
func (p *Provider) register(redirect, goodbye string) {
	p.clients[clientID] = storage.WebClient(clientID, clientSecret, redirect)
	p.users.goodbye = goodbye
}

// URL is the issuer.
func (p *Provider) URL() string { return p.server.URL }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls[r.URL.Path]++
	fault := p.fault
	p.mu.Unlock()
	switch {
	case fault != nil:
		fault(rw, r)
	case r.URL.Path == "/oauth/token":
		rec := httptest.NewRecorder()
		p.op.ServeHTTP(rec, r)
		p.remember(rec.Body.Bytes())
		for k, v := range rec.Header() {
			rw.Header()[k] = v
		}
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(rec.Body.Bytes())
	default:
		p.op.ServeHTTP(rw, r)
	}
}

// remember notes the secrets of an answer, so that a test can look for them.
func (p *Provider) remember(answer []byte) {
	var tokens struct {
		ID      string `json:"id_token"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	_ = json.Unmarshal(answer, &tokens)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range []string{tokens.ID, tokens.Access, tokens.Refresh} {
		if s != "" {
			p.tokens = append(p.tokens, s)
		}
	}
}

// Fault makes it answer everything by f; nil: as it should.
func (p *Provider) Fault(f http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Calls is how often a path was asked for.
func (p *Provider) Calls(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

// Gave reports whether it has given out a token.
func (p *Provider) Gave(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.tokens, token)
}

// LogoutToken signs one.
func (p *Provider) LogoutToken(change func(claims map[string]any)) string {
	p.t.Helper()
	claims := map[string]any{
		"iss": p.URL(), "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": rand(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	change(claims)
	key, err := p.users.SigningKey(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType("logout+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: key.Key(), KeyID: key.ID()}}, options)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func rand() string { return strings.ReplaceAll(time.Now().Format("150405.000000000"), ".", "") }
