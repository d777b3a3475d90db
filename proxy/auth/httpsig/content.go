package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"

	"github.com/dunglas/httpsfv"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

const contentDigest = "content-digest"

// firstBuffer is what reading content starts with, whatever length is announced.
const firstBuffer = 4 << 10

// content compares the content with the digest that the signature covers. A
// request without content needs none.
func (m *Method) content(x *exchange.Exchange, s *signature) auth.Result {
	digest, there := field(&x.Request, contentDigest)
	if x.Request.Body == nil {
		if there && s.covers(contentDigest) && !matches(digest, nil) {
			return rejected(auth.CodeSignatureDigest)
		}
		return auth.Result{Outcome: auth.Accepted}
	}
	if !there || !s.covers(contentDigest) {
		return rejected(auth.CodeSignatureIncomplete)
	}
	content, r := m.hold(x)
	if r.Code == "" && !matches(digest, content) {
		return rejected(auth.CodeSignatureDigest)
	}
	return r
}

// hold reads the content into memory.
func (m *Method) hold(x *exchange.Exchange) ([]byte, auth.Result) {
	if x.Request.ContentLength > m.t.MaxBody {
		return nil, tooLarge()
	}
	content, err := x.Hold(make([]byte, 0, min(m.t.MaxBody, firstBuffer)), m.t.MaxBody, nil)
	switch {
	case errors.Is(err, exchange.ErrTooLarge):
		return nil, tooLarge()
	case err != nil:
		return nil, auth.Result{Outcome: auth.Rejected, Code: auth.CodeSignatureDigest, Answer: &auth.Answer{Failure: err}}
	}
	return content, auth.Result{Outcome: auth.Accepted}
}

func tooLarge() auth.Result {
	return auth.Result{Outcome: auth.Rejected, Code: auth.CodeSignatureTooLarge, Answer: &auth.Answer{Status: 413}}
}

// matches reports whether a Content-Digest is that of content: it names SHA-256 or
// SHA-512, and each of them that it names is right (RFC 9530, section 2).
func matches(digest string, content []byte) bool {
	d, err := httpsfv.UnmarshalDictionary([]string{digest})
	if err != nil {
		return false
	}
	compared := false
	for _, name := range d.Names() {
		member, _ := d.Get(name)
		item, _ := member.(httpsfv.Item)
		value, _ := item.Value.([]byte)
		var want []byte
		switch name {
		case "sha-256":
			sum := sha256.Sum256(content)
			want = sum[:]
		case "sha-512":
			sum := sha512.Sum512(content)
			want = sum[:]
		default:
			continue // of no use against somebody who means harm
		}
		if subtle.ConstantTimeCompare(value, want) != 1 {
			return false
		}
		compared = true
	}
	return compared
}
