package feature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

const hmacSecret = "0123456789abcdef0123456789abcdef"

// hmacKey is a Secret with a key for signatures, called name in them.
func hmacKey(name, key, annotations string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", namespace: shop, labels: {gatehouse.dev/hmac: orders}, annotations: {" + annotations + "}}\nstringData: {hmacKey: " + key + "}\n---\n"
}

const signedRules = `authentication: {apps: {hmac: {selector: {matchLabels: {gatehouse.dev/hmac: orders}}}}}, response: {headers: {x-user: {cel: "auth.subject"}}}`

// signed returns the fields of a request that is signed as the policy asks.
func signed(id, key, method, path, query, content string) []string {
	components, base := `"@method" "@authority" "@path" "@query"`, ""
	fields := []string{}
	digest := ""
	if content != "" {
		sum := sha256.Sum256([]byte(content))
		digest = "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		components += ` "content-digest"`
		fields = append(fields, "content-digest: "+digest)
	}
	params := fmt.Sprintf(`(%s);created=%d;keyid="%s"`, components, time.Now().Unix(), id)
	base = fmt.Sprintf("\"@method\": %s\n\"@authority\": a\n\"@path\": %s\n\"@query\": ?%s\n", method, path, query)
	if digest != "" {
		base += "\"content-digest\": " + digest + "\n"
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(base + "\"@signature-params\": " + params))
	return append(fields, "signature-input: s="+params, "signature: s=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
}

// Requests are let in that are signed with a shared key (RFC 9421).
func TestHMAC(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+hmacKey("acme", hmacSecret, `gatehouse.dev/subject: acme-inc`)+hmacKey("late", hmacSecret, `gatehouse.dev/expires-at: "2020-01-01T00:00:00Z"`)+
		hmacKey("short", "tooshort", "")+Route("r", toAPI)+Auth("a", guarded, `rules: {`+signedRules+`}`))
	is := func(a Answer, status int, code string) {
		t.Helper()
		if a.Status != status || a.Code() != code {
			t.Errorf("%d %s, want %d %s", a.Status, a.Code(), status, code)
		}
	}
	a := w.Do("GET http://a/orders?x=1", signed("acme", hmacSecret, "GET", "/orders", "x=1", "")...)
	if h := a.Seen().Header; a.Status != 200 || strings.Join(h["X-User"], ",") != "acme-inc" || h["Signature"] != nil || h["Signature-Input"] != nil {
		t.Errorf("%d %s %v", a.Status, a.Body, h)
	}
	a = w.Send("POST http://a/orders", "hello", signed("acme", hmacSecret, "POST", "/orders", "", "hello")...)
	if a.Status != 200 || a.Seen().Body != "hello" {
		t.Errorf("with content: %d %s", a.Status, a.Body)
	}
	// What is signed is the path as the client writes it, in whatever form it goes on.
	const written = "/%7eann/caf%c3%a9"
	a = w.Do("GET http://a"+written+"?x=%7e", signed("acme", hmacSecret, "GET", written, "x=%7e", "")...)
	if a.Status != 200 || a.Seen().Path != "/~ann/caf%C3%A9?x=%7e" {
		t.Errorf("with escapes: %d %s", a.Status, a.Body)
	}
	is(w.Do("GET http://a/orders"), 401, "auth_missing")
	is(w.Do("GET http://a/other?x=1", signed("acme", hmacSecret, "GET", "/orders", "x=1", "")...), 401, "signature_invalid")
	is(w.Send("POST http://a/orders", "hallo", signed("acme", hmacSecret, "POST", "/orders", "", "hello")...), 401, "content_digest_invalid")
	is(w.Send("POST http://a/orders", "hello", signed("acme", hmacSecret, "POST", "/orders", "", "")...), 401, "signature_incomplete")
	is(w.Do("GET http://a/", signed("late", hmacSecret, "GET", "/", "", "")...), 401, "signature_key_expired")
	is(w.Do("GET http://a/", signed("short", "tooshort", "GET", "/", "", "")...), 401, "signature_key_unknown")
	large := strings.Repeat("x", 1<<20+1)
	is(w.Send("POST http://a/", large, signed("acme", hmacSecret, "POST", "/", "", large)...), 413, "signature_content_too_large")
	w.Delete(hmacKey("acme", hmacSecret, ""))
	is(w.Do("GET http://a/", signed("acme", hmacSecret, "GET", "/", "", "")...), 401, "signature_key_unknown")
}
