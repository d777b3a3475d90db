// Package httpsig accepts requests that are signed with a key the gateway shares
// (HTTP Message Signatures, RFC 9421, algorithm hmac-sha256), and whose content is
// what was signed (Digest Fields, RFC 9530).
//
// proxy/guard builds a Method per table.HMAC. It calls httpsfv for the syntax of
// the fields (RFC 9651).
//
// Nothing is remembered of a request: whoever overhears one can send it again, as
// it is, until the signature is too old.
package httpsig

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// The bounds.
const (
	maxField      = 16 << 10         // bytes of Signature-Input, and of Signature
	maxSignatures = 4                // in one request that are looked at
	maxComponents = 64               // that one covers
	ahead         = 30 * time.Second // that a signer's clock may be
)

const algorithm = "hmac-sha256"

// fields carry signatures, and are the method's credential.
var fields = [...]string{"signature-input", "signature"}

// Method is one policy's use of a set of keys.
type Method struct {
	t         *table.HMAC
	keys      map[string]*key
	challenge string
	now       func() time.Time
}

type key struct {
	secret []byte
	holder *table.APIKey
	claims map[string]any // shared by all requests; nobody writes to it
}

// New makes the method. A key id that two Secrets have accepts nobody: it could
// not be told whose it is.
func New(t *table.HMAC, now func() time.Time) (*Method, error) {
	m := &Method{t: t, keys: map[string]*key{}, now: now}
	for _, c := range t.Components {
		if !known(c) {
			return nil, fmt.Errorf("httpsig: component %q is not supported", c)
		}
	}
	for _, k := range t.Keys {
		if _, twice := m.keys[k.ID]; twice {
			m.keys[k.ID] = nil
			continue
		}
		m.keys[k.ID] = &key{k.Key, &k.Holder, auth.KeyClaims(&k.Holder)}
	}
	m.challenge = `Signature realm="gatehouse", algorithm="` + algorithm + `", components="` + strings.Join(t.Components, " ") + `"`
	return m, nil
}

// Authenticate implements auth.Method. A request may have several signatures, of
// which one must be good.
func (m *Method) Authenticate(x *exchange.Exchange, p *exchange.Principal) auth.Result {
	inputs, some := lines(&x.Request.Header, fields[0])
	values, more := lines(&x.Request.Header, fields[1])
	switch {
	case !some && !more:
		return auth.Result{Outcome: auth.Absent}
	case !some || !more:
		return rejected(auth.CodeSignatureMalformed)
	}
	input, err := httpsfv.UnmarshalDictionary(inputs)
	if err != nil {
		return rejected(auth.CodeSignatureMalformed)
	}
	value, err := httpsfv.UnmarshalDictionary(values)
	if err != nil {
		return rejected(auth.CodeSignatureMalformed)
	}
	first := auth.Result{}
	for i, label := range input.Names() {
		if i == maxSignatures {
			break
		}
		s, r := m.read(label, input, value)
		if r.Code == "" {
			r = m.verify(x, s)
		}
		if r.Outcome == auth.Accepted {
			p.Subject, p.Claims = s.key.holder.Subject, s.key.claims
			return r
		}
		if first.Code == "" {
			first = r
		}
	}
	if first.Code == "" {
		return rejected(auth.CodeSignatureMalformed)
	}
	return first
}

// lines returns the lines of a field together; false when there is none.
func lines(h *exchange.Header, name string) (out []string, some bool) {
	size := 0
	for i := range *h {
		if f := &(*h)[i]; strings.EqualFold(f.Name, name) {
			if size += len(f.Value); size > maxField {
				return nil, true // reads as malformed
			}
			out = append(out, f.Value)
		}
	}
	return out, len(out) > 0
}

func rejected(code string) auth.Result {
	return auth.Result{Outcome: auth.Rejected, Code: code}
}

// signature is one that was read and whose parameters are in order.
type signature struct {
	covered []string // names of components, in order
	params  string   // as it is signed: ("@method" "date");created=1;keyid="k"
	value   []byte
	key     *key
}

// read reads the signature of that label and judges its parameters.
func (m *Method) read(label string, input, values *httpsfv.Dictionary) (*signature, auth.Result) {
	member, _ := input.Get(label)
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return nil, rejected(auth.CodeSignatureMalformed)
	}
	s := &signature{}
	member, ok = values.Get(label)
	item, is := member.(httpsfv.Item)
	if !ok || !is {
		return nil, rejected(auth.CodeSignatureMalformed)
	}
	if s.value, ok = item.Value.([]byte); !ok || !s.components(&list) {
		return nil, rejected(auth.CodeSignatureMalformed)
	}
	text, err := httpsfv.Marshal(httpsfv.List{list})
	if err != nil {
		return nil, rejected(auth.CodeSignatureMalformed)
	}
	s.params = text
	if code := m.parameters(s, list.Params); code != "" {
		return nil, rejected(code)
	}
	for _, c := range m.t.Components {
		if !s.covers(c) {
			return nil, rejected(auth.CodeSignatureIncomplete)
		}
	}
	return s, auth.Result{}
}

// components reads what is covered. Each may be there once, and none has
// parameters that are understood here (RFC 9421, section 2.5).
func (s *signature) components(list *httpsfv.InnerList) bool {
	if len(list.Items) > maxComponents {
		return false
	}
	for _, item := range list.Items {
		name, ok := item.Value.(string)
		if !ok || len(item.Params.Names()) > 0 || !known(name) || s.covers(name) {
			return false
		}
		s.covered = append(s.covered, name)
	}
	return true
}

func (s *signature) covers(name string) bool {
	for _, c := range s.covered {
		if c == name {
			return true
		}
	}
	return false
}

// parameters finds the key and judges the times (section 2.3); it returns the
// cause of a refusal, "" for none.
func (m *Method) parameters(s *signature, p *httpsfv.Params) string {
	id, ok := parameter[string](p, "keyid")
	if !ok {
		return auth.CodeSignatureMalformed
	}
	if alg, there := p.Get("alg"); there && alg != algorithm {
		return auth.CodeSignatureAlgorithm
	}
	created, ok := parameter[int64](p, "created")
	if !ok {
		return auth.CodeSignatureMalformed
	}
	now := m.now()
	if made := time.Unix(created, 0); made.After(now.Add(ahead)) || now.Sub(made) > m.t.MaxAge {
		return auth.CodeSignatureExpired
	}
	if _, there := p.Get("expires"); there {
		expires, ok := parameter[int64](p, "expires")
		if !ok {
			return auth.CodeSignatureMalformed
		}
		if now.Unix() >= expires {
			return auth.CodeSignatureExpired
		}
	}
	s.key = m.keys[id]
	switch {
	case s.key == nil:
		return auth.CodeSignatureKey
	case s.key.holder.NotBefore != 0 && now.Unix() < s.key.holder.NotBefore:
		return auth.CodeSignatureKeyEarly
	case s.key.holder.Expires != 0 && now.Unix() >= s.key.holder.Expires:
		return auth.CodeSignatureKeyExpired
	}
	return ""
}

func parameter[T any](p *httpsfv.Params, name string) (v T, ok bool) {
	raw, there := p.Get(name)
	if !there {
		return v, false
	}
	v, ok = raw.(T)
	return v, ok
}

// verify compares the signature with the request, then the content with the
// digest that was signed. Only who has the key has content held for them.
func (m *Method) verify(x *exchange.Exchange, s *signature) auth.Result {
	mac := hmac.New(sha256.New, s.key.secret)
	for _, c := range s.covered {
		value, ok := component(&x.Request, c)
		if !ok {
			return rejected(auth.CodeSignatureIncomplete)
		}
		_, _ = fmt.Fprintf(mac, "%q: %s\n", c, value) // a hash takes everything
	}
	_, _ = fmt.Fprintf(mac, "\"@signature-params\": %s", s.params)
	if !hmac.Equal(mac.Sum(nil), s.value) {
		return rejected(auth.CodeSignatureInvalid)
	}
	return m.content(x, s)
}

// Challenge implements auth.Method.
func (m *Method) Challenge() string { return m.challenge }

// Strip implements auth.Method.
func (m *Method) Strip(x *exchange.Exchange) {
	for _, name := range fields {
		x.Request.Header.Del(name)
	}
}
