// Package basic checks user names and passwords (RFC 7617) against the hashes of
// an htpasswd file.
//
// proxy/guard builds one Users per table.Basic and a Method per policy that uses
// it. The Checker, which they all share, bounds what hashing may cost.
package basic

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// maxPassword is the longest password that is looked at, in bytes.
const maxPassword = 256

// retryBusy is when to come back when too many passwords are being checked.
const retryBusy = 2 * time.Second

// Users is the users of one table.Basic.
type Users struct {
	byName   map[string]*user
	nobodies []*user // for each user one who stands for some of those who do not exist, and costs as much
	realm    string
}

type user struct {
	name     string
	verifier verifier
	identity [sha256.Size]byte // of name and hash
	nobody   bool
}

// NewUsers parses the hashes of t. A user whose hash cannot be used cannot log
// in; the control half says so (ValidateHash). Of two lines for one user the
// first counts, as it does elsewhere, also where it lets nobody in: "ann:!" locks
// ann out.
func NewUsers(t *table.Basic) *Users {
	us := &Users{byName: make(map[string]*user, len(t.Users)), realm: t.Realm}
	if us.realm == "" {
		us.realm = "gatehouse"
	}
	seen := make(map[string]bool, len(t.Users))
	for _, b := range t.Users {
		if seen[b.Name] {
			continue
		}
		seen[b.Name] = true
		v, err := parseHash(string(b.Hash))
		if err != nil {
			continue
		}
		us.byName[b.Name] = &user{name: b.Name, verifier: v, identity: sha256.Sum256([]byte(b.Name + "\x00" + string(b.Hash)))}
		us.nobodies = append(us.nobodies, &user{verifier: v, nobody: true})
	}
	return us
}

// Method is one policy's use of Users.
type Method struct {
	users     *Users
	from      auth.Credential
	checker   *Checker
	challenge string
}

// New makes the method.
func New(users *Users, from auth.Credential, checker *Checker) *Method {
	realm := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(users.realm)
	return &Method{users, from, checker, `Basic realm="` + realm + `", charset="UTF-8"`}
}

// Authenticate implements auth.Method. An unknown user costs as much time as a
// wrong password of one of the users does, and the same one each time: hashes may
// be of several kinds.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	credential, found := m.from.Find(x)
	switch found {
	case auth.Accepted:
	case auth.Absent:
		return auth.Result{Outcome: auth.Absent}
	case auth.Rejected, auth.Unavailable:
		return auth.Result{Outcome: auth.Rejected, Code: auth.CodeRepeated}
	}
	wrong := auth.Result{Outcome: auth.Rejected, Code: auth.CodeBasicInvalid}
	name, password, ok := decode(x, credential)
	if !ok || len(m.users.nobodies) == 0 {
		return wrong
	}
	u := m.users.byName[name]
	if u == nil {
		u = m.users.nobodies[m.checker.pick(name, len(m.users.nobodies))]
	}
	yes, ok := m.checker.check(u, password)
	switch {
	case !ok:
		return auth.Result{Outcome: auth.Unavailable, Code: auth.CodeBasicBusy, RetryAfter: retryBusy}
	case !yes:
		return wrong
	}
	p.Subject = u.name
	return auth.Result{Outcome: auth.Accepted}
}

// decode reads user-id ":" password (RFC 7617, section 2), without allocation.
func decode(x *exchange.Exchange, credential string) (name, password string, ok bool) {
	b := x.Arena.Alloc(base64.StdEncoding.DecodedLen(len(credential)))
	n, err := base64.StdEncoding.Strict().Decode(b, mem.Bytes(credential))
	if err != nil || strings.ContainsAny(credential, "\r\n") { // which the decoder skips
		return "", "", false
	}
	name, password, ok = strings.Cut(mem.String(b[:n]), ":")
	if !ok || len(password) > maxPassword {
		return "", "", false
	}
	for i := 0; i < n; i++ {
		if b[i] < ' ' || b[i] == 0x7f {
			return "", "", false
		}
	}
	return name, password, true
}

// Challenge implements auth.Method.
func (m *Method) Challenge() string { return m.challenge }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) { m.from.Strip(x) }
