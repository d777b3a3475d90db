package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"io"

	"github.com/dunglas/httpsfv"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

const contentDigest = "content-digest"

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

// hold reads the content into memory. x.Request.Body gives it again.
func (m *Method) hold(x *exchange.Exchange) ([]byte, auth.Result) {
	limit, body := m.t.MaxBody, x.Request.Body
	if x.Request.ContentLength > limit {
		return nil, tooLarge()
	}
	data := make([]byte, 0, min(limit, max(x.Request.ContentLength, 4<<10)))
	for {
		p, err := body.Next()
		data = append(data, p...)
		switch {
		case int64(len(data)) > limit:
			x.Request.Body = exchange.Replay(data, err, body)
			return nil, tooLarge()
		case err == io.EOF && len(data) == 0:
			x.Request.Body = exchange.Replay(nil, io.EOF, body)
			return nil, auth.Result{Outcome: auth.Accepted}
		case err == io.EOF:
			x.Request.Body = &exchange.Buffered{Content: data}
			return data, auth.Result{Outcome: auth.Accepted}
		case err != nil:
			x.Request.Body = exchange.Replay(data, err, body)
			return nil, auth.Result{Outcome: auth.Rejected, Code: auth.CodeSignatureDigest, Answer: &auth.Answer{Failure: err}}
		}
	}
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
