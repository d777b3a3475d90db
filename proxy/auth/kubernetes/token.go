package kubernetes

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Method knows callers by the tokens of the cluster, such as those of a pod's
// ServiceAccount.
type Method struct {
	owner *Owner
	t     *table.TokenReview
	id    [8]byte // tells methods with other audiences apart
	from  auth.Credential
}

// Method makes the Method of t.
func (o *Owner) Method(t *table.TokenReview, from auth.Credential) *Method {
	m := &Method{owner: o, t: t, from: from}
	sum := table.Sum(t)
	copy(m.id[:], sum[:])
	return m
}

// Authenticate implements auth.Method. A token that was asked about before is
// looked up, without allocation.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	token, found := m.from.Find(x)
	switch {
	case found == auth.Absent:
		return auth.Result{Outcome: auth.Absent}
	case found != auth.Accepted:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRepeated}
	case len(token) > maxToken || !auth.Visible(token):
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeTokenMalformed}
	}
	key := m.key(token)
	user, ok := m.owner.users.Get(mem.String(key[:]))
	if ok {
		m.owner.cfg.Asked(Token, Cached)
	} else {
		var err error
		if user, err = m.load(x, key, strings.Clone(token)); err != nil {
			return failed(err)
		}
	}
	if user.Cluster == nil {
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeClusterToken}
	}
	p.Subject, p.Claims, p.Cluster = user.Subject, user.Claims, user.Cluster
	return auth.Result{Outcome: auth.Accepted}
}

// key is what a user is kept by: the audiences and the whole token.
func (m *Method) key(token string) (key [8 + sha256.Size]byte) {
	copy(key[:], m.id[:])
	sum := sha256.Sum256(mem.Bytes(token))
	copy(key[8:], sum[:])
	return key
}

// tokenSpec and tokenStatus are those of a TokenReview.
type tokenSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type tokenStatus struct {
	Authenticated bool     `json:"authenticated"`
	Audiences     []string `json:"audiences"`
	User          struct {
		Username string              `json:"username"`
		UID      string              `json:"uid"`
		Groups   []string            `json:"groups"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
}

func (m *Method) load(x *exchange.Exchange, key [8 + sha256.Size]byte, token string) (*exchange.Principal, error) {
	user, err := m.owner.users.Load(auth.ContextOf(x), string(key[:]), func(ctx context.Context) (*exchange.Principal, remote.Life, error) {
		status, err := review[tokenSpec, tokenStatus](ctx, m.owner, api{"authentication.k8s.io", "tokenreviews", "TokenReview"}, tokenSpec{token, m.t.Audiences})
		if err != nil {
			return nil, remote.Life{}, err
		}
		if user := m.user(&status); user != nil {
			return user, remote.Life{Fresh: fresh, Spare: spare}, nil
		}
		return &exchange.Principal{}, remote.Life{Fresh: fresh}, nil
	})
	switch {
	case err != nil:
		m.owner.cfg.Asked(Token, Failed)
	case user.Cluster == nil:
		m.owner.cfg.Asked(Token, No)
	default:
		m.owner.cfg.Asked(Token, Yes)
	}
	return user, err
}

// anonymous is whom the API server takes those for who bring no token.
const anonymous = "system:anonymous"

// user is who an answer says that the token's holder is; nil: nobody. An API server
// that knows nothing of audiences names none: its answer is no good where some are
// asked for. One that takes the token for none says that it is authenticated too.
func (m *Method) user(s *tokenStatus) *exchange.Principal {
	u := &s.User
	meant := len(m.t.Audiences) == 0 || slices.ContainsFunc(m.t.Audiences, func(a string) bool { return slices.Contains(s.Audiences, a) })
	if !s.Authenticated || u.Username == "" || u.Username == anonymous || !meant {
		return nil
	}
	c := &exchange.ClusterUser{Name: u.Username, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
	key := remote.AppendPart(remote.AppendPart(nil, u.Username), u.UID)
	groups, extra := make([]any, len(u.Groups)), map[string]any{}
	for i, g := range u.Groups {
		groups[i] = g
		key = remote.AppendPart(key, g)
	}
	for _, name := range slices.Sorted(maps.Keys(u.Extra)) {
		key = remote.AppendPart(append(key, '|'), name)
		values := make([]any, len(u.Extra[name]))
		for i, v := range u.Extra[name] {
			values[i] = v
			key = remote.AppendPart(key, v)
		}
		extra[name] = values
	}
	c.Sum = sha256.Sum256(key)
	claims := map[string]any{"username": u.Username, "uid": u.UID, "groups": groups, "extra": extra}
	return &exchange.Principal{Subject: u.Username, Claims: claims, Cluster: c}
}

// Challenge implements auth.Method (RFC 6750, section 3).
func (m *Method) Challenge() string { return `Bearer realm="gatehouse"` }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) { m.from.Strip(x) }
