package validate

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/expr"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func build(t testing.TB, v *table.Validation) *Policy {
	t.Helper()
	p, err := tryBuild(t, v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryBuild(t testing.TB, v *table.Validation) (*Policy, error) {
	t.Helper()
	env, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	return Build(v, env)
}

// pieces is a body that comes in parts.
type pieces []string

func (p *pieces) Next() ([]byte, error) {
	if len(*p) == 0 {
		return nil, io.EOF
	}
	s := (*p)[0]
	*p = (*p)[1:]
	return []byte(s), nil
}

func (*pieces) Continue() error { return nil }
func (*pieces) Cancel()         {}

// request is "METHOD target", then "Name: value" lines, then after an empty
// line the content; its length is not known beforehand if it has several parts,
// separated by "|".
func request(text string) *exchange.Exchange {
	head, content, hasContent := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	x := &exchange.Exchange{Response: exchange.Response{}}
	method, target, _ := strings.Cut(lines[0], " ")
	x.Request.Method = method
	x.Request.Path, x.Request.RawQuery, _ = strings.Cut(target, "?")
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		x.Request.Header.Add(name, value)
	}
	if hasContent {
		parts := pieces(strings.Split(content, "|"))
		x.Request.Body, x.Request.ContentLength = &parts, int64(len(content))
		if len(parts) > 1 {
			x.Request.ContentLength = -1
		}
	}
	return x
}

// outcome is "200" and the content as a backend would read it, or status, code
// and the violations.
func outcome(p *Policy, x *exchange.Exchange) string {
	if p.Check(x) {
		if x.Request.Body == nil {
			return "200"
		}
		out := "200 "
		for {
			b, err := x.Request.Body.Next()
			out += string(b)
			if err == io.EOF {
				return out
			}
			if err != nil {
				return out + "!" + err.Error()
			}
		}
	}
	var doc struct {
		Status int
		Code   string
		Detail string
		Errors []struct{ Pointer, Message string }
	}
	if err := json.Unmarshal(x.Response.Body, &doc); err != nil {
		return err.Error()
	}
	if doc.Status != x.Response.Status || doc.Code != x.Response.Code || x.Trace.Denied != doc.Code {
		return fmt.Sprintf("inconsistent answer %+v, trace %q", doc, x.Trace.Denied)
	}
	out := fmt.Sprint(doc.Status, " ", doc.Code)
	if doc.Errors == nil {
		out += ": " + doc.Detail
	}
	for _, e := range doc.Errors {
		out += " [" + e.Pointer + " " + e.Message + "]"
	}
	return out
}

type is func(text, want string)

func expect(t *testing.T, v *table.Validation) is {
	p := build(t, v)
	return func(text, want string) {
		t.Helper()
		if got := outcome(p, request(text)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func one(c table.Check) *table.Validation {
	return &table.Validation{Sources: []table.Source{{Policy: "ValidationPolicy shop/orders"}}, Checks: []table.Check{c}}
}

func TestContentType(t *testing.T) {
	is := expect(t, one(table.Check{Methods: []string{"POST"}, ContentTypes: []string{"application/json", "text/*"}}))
	is("GET /\nContent-Type: image/png\n\nx", "200 x")
	is("POST /", "200")
	is("POST /\nContent-Type: application/json\n\n{}", "200 {}")
	is("POST /\ncontent-type: Application/JSON; charset=utf-8\n\n{}", "200 {}")
	is("POST /\nContent-Type: text/csv\n\nx", "200 x")
	is("POST /\nContent-Type: text/\n\nx", "415 content_type_unsupported: content of this type is not accepted")
	is("POST /\nContent-Type: application/jsonx\n\nx", "415 content_type_unsupported: content of this type is not accepted")
	is("POST /\n\nx", "415 content_type_unsupported: the content needs a Content-Type")
	is("POST /\nContent-Type: text/a\nContent-Type: text/b\n\nx", "415 content_type_unsupported: Content-Type is there more than once")
	x := request("POST /\n\nx")
	build(t, one(table.Check{ContentTypes: []string{"a/b", "C/*"}})).Check(x)
	if v, _ := x.Response.Header.Get("accept"); v != "a/b, c/*" || x.Trace.Policy != "ValidationPolicy shop/orders" {
		t.Errorf("Accept %q, policy %q", v, x.Trace.Policy)
	}
}

func TestSize(t *testing.T) {
	is := expect(t, &table.Validation{Checks: []table.Check{{MaxBodyBytes: 9}, {MaxBodyBytes: 5}}})
	is("POST /\n\n12345", "200 12345")
	is("POST /\n\n123456", "413 content_too_large: the content is larger than 5 bytes")
	is("POST /\n\n123|45", "200 12345")
	is("POST /\n\n123|45|6", "200 12345!content_too_large: the content is larger than 5 bytes")
}

// It is the policy whose limit it is that content is too large for.
func TestWhoseSize(t *testing.T) {
	v := &table.Validation{
		Sources: []table.Source{{Policy: "forms"}, {Policy: "sizes"}, {Policy: "loose"}},
		Checks:  []table.Check{{Schema: &table.Schema{Document: []byte(`{}`)}}, {Source: 1, MaxBodyBytes: 5}, {Source: 2, MaxBodyBytes: 9}},
	}
	for _, content := range []string{"[1,2,3]", "[1,|2,3]"} { // with a length, and without
		x := request("POST /\ncontent-type: application/json\n\n" + content)
		if got := outcome(build(t, v), x); !strings.HasPrefix(got, "413 ") || x.Trace.Policy != "sizes" {
			t.Errorf("%s: %s by %s, want 413 by sizes", content, got, x.Trace.Policy)
		}
	}
}

func TestParameters(t *testing.T) {
	low, high := 1.0, 100.0
	is := expect(t, one(table.Check{
		Headers: []table.Param{{Name: "X-Tenant", Required: true, Pattern: "[a-z]+|X"}, {Name: "X-Flag", Type: "boolean"}},
		Query: []table.Param{
			{Name: "limit", Type: "integer", Minimum: &low, Maximum: &high},
			{Name: "ratio", Type: "number"},
			{Name: "sort", Enum: []string{"asc", "desc"}},
			{Name: "a/b", Required: true},
		},
	}))
	is("GET /?a/b=1\nx-tenant: acme", "200")
	is("GET /?a%2Fb=1&limit=100&ratio=-1.5e3&sort=asc\nx-tenant: X\nx-flag: true", "200")
	is("GET /", "400 parameter_invalid [/headers/x-tenant is missing] [/query/a~1b is missing]")
	is("GET /?a/b&limit=0&ratio=NaN&sort=up\nx-tenant: Acme\nX-Flag: yes",
		"400 parameter_invalid [/headers/x-tenant must match the pattern [a-z]+|X] [/headers/x-flag must be true or false]"+
			" [/query/limit must be at least 1] [/query/ratio must be a number] [/query/sort must be one of asc, desc]")
	is("GET /?a/b=1&limit=1&limit=101\nx-tenant: acme", "400 parameter_invalid [/query/limit must be at most 100]")
	is("GET /?a/b=1&limit=1.0\nx-tenant: acme", "400 parameter_invalid [/query/limit must be a whole number]")
	is("GET /?a/b=1&limit=%2B1\nx-tenant: acme", "400 parameter_invalid [/query/limit must be a whole number]")
	is("GET /?a/b=1&limit=\nx-tenant: acme", "400 parameter_invalid [/query/limit must be a whole number]")
	is("GET /?a/b=1\nx-tenant: acme\nx-tenant: ACME", "400 parameter_invalid [/headers/x-tenant must match the pattern [a-z]+|X]")
	is("GET /?a/b=1\nx-tenant: acmeX", "400 parameter_invalid [/headers/x-tenant must match the pattern [a-z]+|X]")
	for _, bad := range []string{"0x10", "Inf", "1e", "+1", ".5", "5.", "1_0", "--1", "", "1e999"} {
		is("GET /?a/b=1&ratio="+strings.ReplaceAll(bad, "+", "%2B")+"\nx-tenant: acme", "400 parameter_invalid [/query/ratio must be a number]")
	}
}

const schema = `{
	"type": "object", "required": ["name", "items"], "additionalProperties": false,
	"properties": {
		"name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
		"when": {"format": "date-time"},
		"items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
		"pay": {"oneOf": [{"type": "string"}, {"type": "number"}]}
	},
	"$defs": {"item": {"type": "object", "properties": {"qty": {"type": "integer", "minimum": 1}}}}
}`

func TestSchema(t *testing.T) {
	is := expect(t, one(table.Check{Schema: &table.Schema{ID: "it", Document: []byte(schema)}, MaxBodyBytes: 200}))
	post := func(content string) string { return "POST /\nContent-Type: application/json\n\n" + content }
	good := `{"name":"ann","items":[{"qty":1}],"when":"2020-01-01T00:00:00Z"}`
	is(post(good), "200 "+good)
	is(post(good[:10]+"|"+good[10:]), "200 "+good)
	is("POST /\nContent-Type: application/merge-patch+json\nContent-Encoding: identity\n\n"+good, "200 "+good)
	is("GET /", "200")
	is(post(`{"name":"ann","items":[]}|`), `200 {"name":"ann","items":[]}`)
	is(post(`{"name":"","items":[{"qty":0},{"qty":"1"}],"more":1,"when":"now","pay":[]}`),
		"422 body_invalid [ additional properties 'more' not allowed] [/items/0/qty minimum: got 0, want 1]"+
			" [/items/1/qty got string, want integer] [/name minLength: got 0, want 1] [/name '' does not match pattern '^[a-z]+$']"+
			" [/pay fits none of the forms that are allowed here] [/pay got array, want string] [/pay got array, want number]"+
			" [/when 'now' is not valid date-time: less than 20 characters long]")
	is(post(`{}`), "422 body_invalid [ missing properties 'name', 'items']")

	is("POST /", "400 body_not_json: the request has no content; JSON is expected")
	is(post(""), "400 body_not_json: the content is not JSON: line 1, column 1: it ends too soon")
	is(post("{\n  \"name\": nope}"), "400 body_not_json: the content is not JSON: line 2, column 12: invalid character 'o' in literal null (expecting 'u')")
	is(post("[1,]"), "400 body_not_json: the content is not JSON: line 1, column 4: invalid character ']' looking for beginning of value")
	is(post("[1,"), "400 body_not_json: the content is not JSON: line 1, column 4: it ends too soon")
	is(post(`{"name":"a","name":"b"}`), `400 body_not_json: the content is not JSON: line 1, column 19: the name "name" comes twice`)
	is(post(`{"a":1} {}`), "400 body_not_json: the content is not JSON: line 1, column 10: something follows the value")
	is(post("{\"a\":\n\"\xff\"}"), "400 body_not_json: the content is not JSON: line 2, column 2: not UTF-8")
	is(post(strings.Repeat("[", 65)+strings.Repeat("]", 65)), "400 body_not_json: the content is not JSON: line 1, column 66: nested more than 64 deep")
	for _, number := range []string{"1e1000000", "-1E-401", "1e99999999999999999999", strings.Repeat("9", maxNumber+1)} {
		if v, f := parse([]byte("[" + number + "]")); f == nil || f.what != "a number that is too large, too small or too long" {
			t.Errorf("%.20s: %v, %v", number, v, f)
		}
	}
	for _, number := range []string{"1e400", "-1.5E-0400", "1E+308", strings.Repeat("9", maxNumber)} {
		if _, f := parse([]byte(number)); f != nil {
			t.Errorf("%.20s: %v", number, f)
		}
	}
	is(post(strings.Repeat(" ", 201)), "413 content_too_large: the content is larger than 200 bytes")
	is(post(strings.Repeat(" ", 150)+"|"+strings.Repeat(" ", 51)), "413 content_too_large: the content is larger than 200 bytes")
	is("POST /\nContent-Type: text/plain\n\n"+good, "415 content_type_unsupported: content must be JSON")
	for _, charset := range []string{"gbk", `"Shift_JIS"`, "utf-16", "", `utf-8"; Charset = 'gbk'`} {
		is("POST /\nContent-Type: application/json; charset="+charset+"\n\n"+good, "415 content_type_unsupported: content must be in UTF-8")
	}
	for _, charset := range []string{"*=utf-8''gbk", "*0=g; charset*1=bk", "*0*=''gbk"} {
		is("POST /\nContent-Type: application/json; charset"+charset+"\n\n"+good, "415 content_type_unsupported: content must be in UTF-8")
	}
	is("POST /\nContent-Type: application/json; v=1;CHARSET=\"UTF-8\";\n\n"+good, "200 "+good)
	is("POST /\nContent-Type: application/json\nContent-Encoding: gzip\n\nx", "415 content_type_unsupported: content must not be compressed")
	is("POST /\nContent-Type: application/json\nContent-Encoding: identity\nContent-Encoding: gzip\n\nx", "415 content_type_unsupported: content must not be compressed")
}

func TestViolationsAreBounded(t *testing.T) {
	p := build(t, one(table.Check{Schema: &table.Schema{Document: []byte(`{"items":{"type":"string"}}`)}}))
	x := request("POST /\nContent-Type: application/json\n\n[" + strings.Repeat("0,", 60000) + "0]")
	got := outcome(p, x)
	if n := strings.Count(got, "got number"); n != maxViolations || !strings.HasPrefix(got, "422") {
		t.Errorf("%d violations: %.80s", n, got)
	}
	x = request("POST /\nContent-Type: application/json\n\n[" + strings.Repeat("0,", 1<<16) + "0]")
	if got := outcome(p, x); !strings.Contains(got, "more than 65536 values") {
		t.Errorf("%.200s", got)
	}
	x = request("POST /\nContent-Type: application/json\n\n" + strings.Repeat(" ", 1<<20+1))
	if got := outcome(p, x); !strings.HasPrefix(got, "413") {
		t.Errorf("%.200s", got)
	}
}

// What is wrong may be found as often as it takes steps to find it. To write that down takes no
// longer than to find it.
func TestErrorsAreBounded(t *testing.T) {
	s, err := newForm([]byte(`{"$ref":"#/$defs/e","$defs":{"e":{"anyOf":[
		{"type":"integer"},{"type":"array","items":{"$ref":"#/$defs/e"}},{"type":"array","minItems":1,"items":{"$ref":"#/$defs/e"}}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("[", 12) + `""` + strings.Repeat("]", 12)
	value, fault := parse([]byte(content))
	if fault != nil {
		t.Fatal(fault)
	}
	finds, writes := time.Hour, time.Hour
	for range 3 {
		begun := time.Now()
		err := s.compare(value, len(content))
		found := time.Now()
		list := violations(nil, err)
		finds, writes = min(finds, found.Sub(begun)), min(writes, time.Since(found))
		if len(list) < 12 || list[0] != (exchange.Violation{Message: "fits none of the forms that are allowed here"}) {
			t.Errorf("%d violations, the first %+v", len(list), list[:min(1, len(list))])
		}
	}
	t.Logf("found in %v, written in %v", finds, writes)
	if writes > finds {
		t.Errorf("found in %v, written in %v", finds, writes)
	}
}

func TestWhen(t *testing.T) {
	is := expect(t, &table.Validation{
		Sources: []table.Source{{Policy: "a", When: []string{"request.path != '/open'", "request.headers['x'] == '1'"}}, {Policy: "b"}},
		Checks: []table.Check{
			{Source: 0, Headers: []table.Param{{Name: "a", Required: true}}},
			{Source: 1, Headers: []table.Param{{Name: "b", Required: true}}},
		},
	})
	is("GET /open\nb: 1", "200")
	is("GET /\nb: 1\nx: 2", "200")
	is("GET /\nx: 1", "400 parameter_invalid [/headers/a is missing] [/headers/b is missing]")
	is("GET /\nb: 1", "403 rule_error: the request is not allowed")
	step, allowed := build(t, &table.Validation{Sources: []table.Source{{When: []string{"request.headers['x'] == '1'"}}}}).Explain(request("GET /"))
	if allowed || step.Outcome != "failed" || step.When != "request.headers['x'] == '1'" || step.Cause != "no such key: x" || step.Needs != "" {
		t.Errorf("%+v", step)
	}
}

func TestClosed(t *testing.T) {
	is := expect(t, &table.Validation{Closed: &table.Reply{Status: 503, Code: "policy_broken", Detail: "soon"}, Sources: []table.Source{{When: []string{"broken"}}}})
	is("GET /", "503 policy_broken: soon")
	is = expect(t, &table.Validation{Closed: &table.Reply{}})
	is("GET /", "500 policy_closed: ")
}

func TestShadow(t *testing.T) {
	p := build(t, one(table.Check{Schema: &table.Schema{Document: []byte(schema)}, MaxBodyBytes: 20}))
	look := func(text, want string) {
		t.Helper()
		x := request(text)
		length := x.Request.ContentLength
		p.Shadow(x)
		var got string
		for x.Request.Body != nil {
			b, err := x.Request.Body.Next()
			got += string(b)
			if err != nil {
				break
			}
		}
		_, sent, _ := strings.Cut(text, "\n\n")
		if x.Trace.Shadow != want || x.Trace.Denied != "" || x.Response.Status != 0 || x.Request.ContentLength != length ||
			got != strings.ReplaceAll(sent, "|", "") || (want != "") != (x.Trace.Policy != "") {
			t.Errorf("%s: %+v, content %q", text, x.Trace, got)
		}
	}
	const json = "\nContent-Type: application/json\n\n"
	look("GET /", "")
	look("POST /"+json+"{}", CodeBody)
	look("POST /"+json+"{|", CodeNotJSON)
	look("POST /"+json+"aaaaaaaaaaaa|bbbbbbbbbbbbbbbb|c", CodeTooLarge)
	look("POST /\n\nx", CodeContentType)
}

type failing struct{ exchange.Body }

func (failing) Next() ([]byte, error) {
	return nil, &exchange.Error{Status: 408, Code: "request_timeout", Detail: "too slow"}
}

func TestBodyFails(t *testing.T) {
	p := build(t, one(table.Check{Schema: &table.Schema{Document: []byte(schema)}}))
	x := request("POST /\nContent-Type: application/json\n\nx")
	x.Request.Body = failing{}
	if p.Check(x) || x.Response.Status != 408 || x.Trace.Denied != "" {
		t.Errorf("%d %+v", x.Response.Status, x.Trace)
	}
}

func TestBuildErrors(t *testing.T) {
	fails := func(c table.Check, want string) {
		t.Helper()
		if _, err := tryBuild(t, &table.Validation{Checks: []table.Check{c}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	schema := func(s string) table.Check { return table.Check{Schema: &table.Schema{ID: "x", Document: []byte(s)}} }
	fails(table.Check{Source: 1}, "source 1 of 0")
	fails(table.Check{Headers: []table.Param{{Name: "a", Pattern: "("}}}, "parameter a: pattern")
	fails(table.Check{Headers: []table.Param{{}}}, "has no name")
	fails(table.Check{Query: []table.Param{{Name: "a", Type: "int"}}}, `type "int"; use string`)
	fails(schema(`{`), "not JSON")
	fails(schema(`[]`), "schema of x: ")
	fails(schema(`{"type":"strin"}`), "not a JSON Schema: /type")
	fails(schema(`{"$ref":"https://evil.example/x.json"}`), "it refers to https://evil.example/x.json; put what it needs under $defs")
	fails(schema(`{"$ref":"file:///etc/passwd"}`), "put what it needs under $defs")
	fails(schema(`{"$ref":"#/$defs/nope"}`), "nope")
	fails(schema(`{"$schema":"http://json-schema.org/draft-07/schema#"}`), "use https://json-schema.org/draft/2020-12/schema")
	fails(schema(`{"pattern":"(?=x)"}`), "pattern")
	if err := CheckSchema([]byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/a","$defs":{"a":true}}`)); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x",null,true]}`, `[1,]`, `{"a" 1}`, `{"a":1,"a":2}`, `"\ud800"`, "", "[[", `01`, "1 2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, fault := parse(data)
		if fault != nil {
			if fault.line < 1 || fault.column < 1 || fault.what == "" {
				t.Fatalf("%q: %+v", data, fault)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q was taken as %v", data, v)
		}
	})
}

func FuzzContent(f *testing.F) {
	f.Add([]byte(`{"name":"ann","items":[{"qty":0}],"pay":1}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[`))
	p := build(f, one(table.Check{Schema: &table.Schema{Document: []byte(schema)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := &exchange.Exchange{}
		x.Request.Method, x.Request.ContentLength = "POST", int64(len(data))
		x.Request.Header.Add("Content-Type", "application/json")
		x.Request.Body = &exchange.Buffered{Content: data}
		if p.Check(x) {
			return
		}
		if !json.Valid(x.Response.Body) || x.Response.Code == "" {
			t.Fatalf("%q: %s", data, x.Response.Body)
		}
	})
}

func BenchmarkSchema(b *testing.B) {
	p := build(b, one(table.Check{Schema: &table.Schema{Document: []byte(schema)}}))
	content := []byte(`{"name":"ann","items":[{"qty":1},{"qty":2},{"qty":3}]}`)
	b.ReportAllocs()
	x := &exchange.Exchange{}
	for b.Loop() {
		x.Reset()
		x.Request.Method, x.Request.ContentLength = "POST", int64(len(content))
		x.Request.Header.Add("Content-Type", "application/json")
		x.Request.Body = &exchange.Buffered{Content: content}
		if !p.Check(x) {
			b.Fatal("refused")
		}
	}
}

func TestParametersAllocate(t *testing.T) {
	p := build(t, one(table.Check{
		Headers: []table.Param{{Name: "X-Tenant", Required: true, Pattern: "[a-z]+"}},
		Query:   []table.Param{{Name: "limit", Type: "integer"}},
	}))
	x := request("GET /?limit=5\nx-tenant: acme")
	if n := testing.AllocsPerRun(100, func() { p.Check(x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
