package httpsig

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

const at = 1618884473 // when the request of RFC 9421, appendix B.2, was made

// request is the one of appendix B.2.
func request() *exchange.Exchange {
	x := &exchange.Exchange{}
	x.Request = exchange.Request{Method: "POST", Scheme: "https", Authority: "example.com", Path: "/foo", RawQuery: "param=Value&Pet=dog", ContentLength: 18}
	for _, f := range [][2]string{
		{"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
		{"content-type", "application/json"},
		{"content-digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
	} {
		x.Request.Header.Add(f[0], f[1])
	}
	x.Request.Body = &exchange.Buffered{Content: []byte(`{"hello": "world"}`)}
	return x
}

func method(t testing.TB, now int64, change func(*table.HMAC)) *Method {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	c := &table.HMAC{ID: "test", Components: []string{"@authority"}, MaxAge: time.Minute, MaxBody: 100, Keys: []*table.HMACKey{
		{ID: "test-shared-secret", Key: secret, Holder: table.APIKey{Subject: "ann", Scopes: []string{"read"}}},
		{ID: "early", Key: secret, Holder: table.APIKey{NotBefore: at + 100}},
		{ID: "now", Key: secret, Holder: table.APIKey{NotBefore: at, Expires: at + 1}},
		{ID: "late", Key: secret, Holder: table.APIKey{Expires: at}},
		{ID: "twice", Key: secret},
		{ID: "twice", Key: secret},
	}}
	if change != nil {
		change(c)
	}
	m, err := New(c, func() time.Time { return time.Unix(now, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sign adds a signature by the test's key, over the base that the caller writes.
func sign(x *exchange.Exchange, label, params string, values ...string) {
	secret, _ := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	base := ""
	for i, name := range strings.Fields(strings.NewReplacer("(", "", ")", "").Replace(params[:strings.IndexByte(params, ')')])) {
		base += name + ": " + values[i] + "\n"
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(base + `"@signature-params": ` + params))
	x.Request.Header.Add("signature-input", label+"="+params)
	x.Request.Header.Add("signature", label+"=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
}

// The vector of appendix B.2.5 does not cover the content, which this method asks for:
// it is good for the request without content.
func TestVector(t *testing.T) {
	x := request()
	x.Request.Header.Add("signature-input", `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`)
	x.Request.Header.Add("signature", "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:")
	m := method(t, at, nil)
	if r := m.Authenticate(x, &x.Principal); r.Code != auth.CodeSignatureIncomplete {
		t.Errorf("with content: %+v", r)
	}
	x.Request.Body = nil
	if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted || x.Principal.Subject != "ann" || fmt.Sprint(x.Principal.Claims["scopes"]) != "[read]" {
		t.Errorf("without: %+v %+v", r, x.Principal)
	}
	m.Strip(x)
	for _, name := range fields {
		if v, there := x.Request.Header.Get(name); there {
			t.Errorf("%s is left: %s", name, v)
		}
	}
}

func TestParameters(t *testing.T) {
	is := func(params, want string) {
		t.Helper()
		x := request()
		x.Request.Body = nil
		sign(x, "s", params, "example.com")
		got := "accepted"
		if r := method(t, at, nil).Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
			got = r.Code
		}
		if got != want {
			t.Errorf("%s: %s, want %s", params, got, want)
		}
	}
	const id = `;keyid="test-shared-secret"`
	created := func(by int) string { return fmt.Sprintf(`("@authority");created=%d`, at+by) }
	is(created(0)+id, "accepted")
	is(created(0)+id+`;alg="hmac-sha256";nonce="n";tag="t"`, "accepted")
	is(created(-60)+id, "accepted")
	is(created(-61)+id, auth.CodeSignatureExpired)
	is(created(30)+id, "accepted")
	is(created(31)+id, auth.CodeSignatureExpired)
	is(created(0)+fmt.Sprintf(";expires=%d", at+1)+id, "accepted")
	is(created(0)+fmt.Sprintf(";expires=%d", at)+id, auth.CodeSignatureExpired)
	is(created(0)+`;expires="soon"`+id, auth.CodeSignatureMalformed)
	is(created(0)+id+`;alg="none"`, auth.CodeSignatureAlgorithm)
	is(created(0)+id+`;alg=hmac-sha256`, auth.CodeSignatureAlgorithm) // a token is no string
	is(created(0)+`;keyid="other"`, auth.CodeSignatureKey)
	is(created(0)+`;keyid="twice"`, auth.CodeSignatureKey)
	is(created(0)+`;keyid="early"`, auth.CodeSignatureKeyEarly)
	is(created(0)+`;keyid="now"`, "accepted")
	is(created(0)+`;keyid="late"`, auth.CodeSignatureKeyExpired)
	is(created(0), auth.CodeSignatureMalformed)
	is(`("@authority")`+id, auth.CodeSignatureMalformed)
	is(`("@authority");created=1.5`+id, auth.CodeSignatureMalformed)
	is(`("@method");created=1618884473`+id, auth.CodeSignatureIncomplete)
	is(`();created=1618884473`+id, auth.CodeSignatureIncomplete)
}

// What a signature covers is what counts, each part of it.
func TestComponents(t *testing.T) {
	const all = `("@method" "@authority" "@scheme" "@target-uri" "@request-target" "@path" "@query" "host" "content-length" "date" "x-list");created=1618884473;keyid="test-shared-secret"`
	values := []string{
		"POST", "example.com", "https", "https://example.com/foo?param=Value&Pet=dog", "/foo?param=Value&Pet=dog", "/foo", "?param=Value&Pet=dog",
		"Example.com:443", "18", "Tue, 20 Apr 2021 02:07:55 GMT", "a, b c",
	}
	for what, change := range map[string]func(*exchange.Request){
		"":          func(*exchange.Request) {},
		"method":    func(q *exchange.Request) { q.Method = "PUT" },
		"authority": func(q *exchange.Request) { q.Authority = "evil.example" },
		"path":      func(q *exchange.Request) { q.Path = "/Foo" },
		"query":     func(q *exchange.Request) { q.RawQuery += "&x" },
		"scheme":    func(q *exchange.Request) { q.Scheme = "http" },
		"field":     func(q *exchange.Request) { q.Header.Add("x-list", "c") },
		"gone":      func(q *exchange.Request) { q.Header.Del("x-list") },
		"length":    func(q *exchange.Request) { q.ContentLength = 19 },
	} {
		x := request()
		x.Request.Body, x.Request.Authority = nil, "Example.com:443"
		x.Request.Header.Add("x-list", " a")
		x.Request.Header.Add("X-List", "b c\t")
		sign(x, "s", all, values...)
		change(&x.Request)
		if r := method(t, at, nil).Authenticate(x, &x.Principal); (r.Outcome == auth.Accepted) != (what == "") {
			t.Errorf("%s changed: %+v", what, r)
		}
	}
}

// A path is signed as it was sent, whatever form it has been given since.
func TestPathAsSent(t *testing.T) {
	const all = `("@target-uri" "@request-target" "@path" "@authority");created=1618884473;keyid="test-shared-secret"`
	x := request()
	x.Request.Body, x.Request.Path, x.Request.Sent = nil, "/~ann/a%2Fb", "/%7eann/a%2fb"
	sign(x, "s", all, "https://example.com/%7eann/a%2fb?param=Value&Pet=dog", "/%7eann/a%2fb?param=Value&Pet=dog", "/%7eann/a%2fb", "example.com")
	if r := method(t, at, nil).Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
		t.Errorf("%+v", r)
	}
}

// The mark of an empty query is part of the target.
func TestEmptyQuery(t *testing.T) {
	const params = `("@request-target" "@authority");created=1618884473;keyid="test-shared-secret"`
	for sent, empty := range map[string]bool{"/foo?": true, "/foo": false} {
		for _, signed := range []string{"/foo?", "/foo"} {
			x := request()
			x.Request.Body, x.Request.RawQuery, x.Request.EmptyQuery = nil, "", empty
			sign(x, "s", params, signed, "example.com")
			if r := method(t, at, nil).Authenticate(x, &x.Principal); (r.Outcome == auth.Accepted) != (sent == signed) {
				t.Errorf("%s, signed as %s: %+v", sent, signed, r)
			}
		}
	}
}

// A request without content has the digest of nothing, if it has one that is signed.
func TestNoContent(t *testing.T) {
	const some, none = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
	is := func(covered, digest, want string) {
		t.Helper()
		x := request()
		x.Request.Body = nil
		x.Request.Header.Del("content-digest")
		x.Request.Header.Add("content-digest", digest)
		sign(x, "s", `("@authority"`+covered+`);created=1618884473;keyid="test-shared-secret"`, "example.com", digest)
		if r := method(t, at, nil).Authenticate(x, &x.Principal); r.Code != want || (want == "") != (r.Outcome == auth.Accepted) {
			t.Errorf("%s of nothing, covered %q: %+v, want %q", digest, covered, r, want)
		}
	}
	is(` "content-digest"`, none, "")
	is(` "content-digest"`, some, auth.CodeSignatureDigest)
	is("", some, "")
}

// Content that is announced as too large is not read.
func TestAnnouncedTooLarge(t *testing.T) {
	const params = `("@authority" "content-digest");created=1618884473;keyid="test-shared-secret"`
	for length, want := range map[int64]string{100: auth.CodeSignatureDigest, 101: auth.CodeSignatureTooLarge} {
		x := request()
		digest, _ := x.Request.Header.Get("content-digest")
		content := &exchange.Buffered{Content: []byte("hello")}
		x.Request.ContentLength, x.Request.Body = length, content
		sign(x, "s", params, "example.com", digest)
		if r := method(t, at, nil).Authenticate(x, &x.Principal); r.Code != want {
			t.Errorf("%d bytes: %+v, want %s", length, r, want)
		}
	}
}

func TestContent(t *testing.T) {
	const params = `("@authority" "content-digest");created=1618884473;keyid="test-shared-secret"`
	is := func(digest, content, want string) {
		t.Helper()
		x := request()
		x.Request.Header.Del("content-digest")
		x.Request.Header.Add("content-digest", digest)
		x.Request.ContentLength, x.Request.Body = -1, &exchange.Buffered{Content: []byte(content)}
		sign(x, "s", params, "example.com", digest)
		got := "accepted"
		r := method(t, at, nil).Authenticate(x, &x.Principal)
		if r.Outcome != auth.Accepted {
			got = r.Code
		}
		if got != want {
			t.Errorf("%s of %.20q: %s, want %s", digest, content, got, want)
		}
		if p, err := x.Request.Body.Next(); want == "accepted" && (err != nil || string(p) != content) {
			t.Errorf("the backend gets %q, %v", p, err)
		}
	}
	sum := func(content string) string {
		s := sha256.Sum256([]byte(content))
		return "sha-256=:" + base64.StdEncoding.EncodeToString(s[:]) + ":"
	}
	is(sum("hello"), "hello", "accepted")
	is(sum("hello")+", md5=:AAAA:", "hello", "accepted")
	is(sum("hello"), "hellO", auth.CodeSignatureDigest)
	is(sum("hello")+", sha-512=:AAAA:", "hello", auth.CodeSignatureDigest)
	is("md5=:AAAA:", "hello", auth.CodeSignatureDigest)
	is("sha-256", "hello", auth.CodeSignatureDigest)
	is("?", "hello", auth.CodeSignatureDigest)
	is(sum(strings.Repeat("x", 101)), strings.Repeat("x", 101), auth.CodeSignatureTooLarge)
}

// What is not understood is not guessed at, and one good signature is enough.
func TestSyntax(t *testing.T) {
	const good = `("@authority");created=1618884473;keyid="test-shared-secret"`
	is := func(want string, fields ...string) {
		t.Helper()
		x := request()
		x.Request.Body = nil
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == "sign" {
				sign(x, "s", fields[i+1], "example.com", "1", "2")
			} else {
				x.Request.Header.Add(fields[i], fields[i+1])
			}
		}
		r := method(t, at, nil).Authenticate(x, &x.Principal)
		if got := fmt.Sprint(r.Outcome, " ", r.Code); got != want {
			t.Errorf("%q: %s, want %s", fields, got, want)
		}
	}
	fields := func(n int) string {
		list := `s=("@authority"`
		for i := range n - 1 {
			list += fmt.Sprintf(` "x-%d"`, i)
		}
		return list + `);created=1618884473;keyid="test-shared-secret"`
	}
	malformed := fmt.Sprint(auth.Rejected, " ", auth.CodeSignatureMalformed)
	is(fmt.Sprint(auth.Absent, " "))
	is(malformed, "signature", "s=:AAAA:")
	is(malformed, "signature-input", "s="+good)
	is(malformed, "signature-input", "s="+good, "signature", "other=:AAAA:")
	is(malformed, "signature-input", "s="+good, "signature", `s="AAAA"`)
	is(malformed, "signature-input", "s=?1", "signature", "s=:AAAA:")
	is(malformed, "signature-input", "s=(", "signature", "s=:AAAA:")
	is(malformed, "signature-input", strings.Repeat("x", maxField+1), "signature", "s=:AAAA:")
	is(malformed, "sign", `("@authority" "@authority");created=1618884473;keyid="test-shared-secret"`)
	is(malformed, "sign", `("@authority" "date";sf);created=1618884473;keyid="test-shared-secret"`)
	is(malformed, "sign", `("@authority" "@query-param");created=1618884473;keyid="test-shared-secret"`)
	is(fmt.Sprint(auth.Rejected, " ", auth.CodeSignatureIncomplete), "signature-input", fields(maxComponents), "signature", "s=:AAAA:")
	is(malformed, "signature-input", fields(maxComponents+1), "signature", "s=:AAAA:")
	is(malformed, "sign", `("@authority" "Date");created=1618884473;keyid="test-shared-secret"`)
	is(fmt.Sprint(auth.Rejected, " ", auth.CodeSignatureInvalid), "signature-input", "s="+good, "signature", "s=:AAAA:")
	is(fmt.Sprint(auth.Accepted, " "), "signature-input", "other="+good, "signature", "other=:AAAA:", "sign", good)
	many := []string{"signature-input", "a=" + good, "signature", "a=:AAAA:"}
	for _, label := range []string{"b=", "c=", "d="} {
		many = append(many, "signature-input", label+good, "signature", label+":AAAA:")
	}
	is(fmt.Sprint(auth.Accepted, " "), append(many[4:], "sign", good)...)
	is(fmt.Sprint(auth.Rejected, " ", auth.CodeSignatureInvalid), append(many, "sign", good)...)
}

func TestNew(t *testing.T) {
	for _, c := range []string{"@status", "Date", "", "signature", "signature-input", "@query-param", "x y", "x:y", "x{y"} {
		if _, err := New(&table.HMAC{Components: []string{c}}, time.Now); err == nil {
			t.Errorf("%q can be asked for", c)
		}
	}
}

// FuzzAuthenticate: nothing panics, and only what the key has signed is accepted.
func FuzzAuthenticate(f *testing.F) {
	const good = `s=("@authority");created=1618884473;keyid="test-shared-secret"`
	for _, seed := range [][2]string{
		{good, "s=:AAAA:"},
		{`sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`, "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"},
		{"s=();created=1", "s=?0"},
		{"a, b=(\"x\";y=:AA==:)", "a=1.5, b=(1 2)"},
	} {
		f.Add(seed[0], seed[1])
	}
	m := method(f, at, nil)
	f.Fuzz(func(t *testing.T, input, value string) {
		x := request()
		x.Request.Body = nil
		x.Request.Header.Add("signature-input", input)
		x.Request.Header.Add("signature", value)
		if r := m.Authenticate(x, &x.Principal); r.Outcome == auth.Accepted && !strings.Contains(value, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=") {
			t.Errorf("%q %q is accepted", input, value)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	x := request()
	x.Request.Body = nil
	sign(x, "s", `("@method" "@authority" "@path" "@query");created=1618884473;keyid="test-shared-secret"`, "POST", "example.com", "/foo", "?param=Value&Pet=dog")
	m := method(b, at, nil)
	b.ReportAllocs()
	for b.Loop() {
		if r := m.Authenticate(x, &x.Principal); r.Outcome != auth.Accepted {
			b.Fatal(r)
		}
	}
}
