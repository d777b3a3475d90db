package table

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full returns a table in which every field of every type is set somewhere.
func full() *Table {
	prefix, path, low := "/new", "/all", 1.5
	reply := &Reply{Status: 403, Code: "denied", Detail: "No.", RetryAfter: time.Second, Body: "no", ContentType: "text/plain"}
	edit := &HeaderEdit{Set: []Header{{"x-a", "b c"}}, Add: []Header{{"x-b", "c"}}, Remove: []string{"x-c"}}
	share := &CORS{Origins: []string{"https://a.example"}, Methods: []string{"GET", "PUT"}, Headers: []string{"*"}, Credentials: true, MaxAge: 60}
	auth := &Auth{
		Sources: []Source{{Policy: "AuthPolicy infra/base", When: []string{"true"}}, {Policy: "AuthPolicy shop/orders"}},
		Methods: []AuthMethod{
			{Name: "open", Anonymous: true},
			{
				Name: "partners", Source: 1, From: []CredentialSource{{Header: "x-api-key"}, {Query: "key"}, {Cookie: "k"}},
				APIKeys: &APIKeys{ID: "shop a=b", Keys: []*APIKey{{
					Secret: "shop/k", Hash: [32]byte{1}, Subject: "bob", Scopes: []string{"r"},
					Plan: "gold", Metadata: map[string]string{"tier": "1"}, NotBefore: 1, Expires: 2,
				}}},
			},
			{Name: "people", Basic: &Basic{ID: "shop/users", Realm: "shop", Users: []BasicUser{{Name: "ann", Hash: Secret("{SHA}hidden")}}}},
			{
				Name: "staff", When: []string{"request.method == 'GET'"}, From: []CredentialSource{{Header: "authorization", Scheme: "Bearer"}},
				JWT: &JWT{Issuer: "https://issuer.example", Audiences: []string{"orders"}, Algorithms: []string{"RS256"}, Leeway: time.Second, KeySet: "k"},
			},
			{Name: "services", ClientCertificate: &ClientCertificate{Match: []CertificateMatch{
				{SAN: &SAN{Type: SANURI, Value: "spiffe://shop.example/*"}, CommonName: "orders"}, {Subject: "CN=a,O=b", SPKI: "pin"},
			}}},
			{Name: "waiting", Unavailable: "Secret shop/gone not found"},
		},
		Require: "staff || partners",
		Rules: []AuthRule{
			{Name: "office", CIDRs: &CIDRs{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}}},
			{Name: "writers", Source: 1, When: []string{"request.method != 'GET'"}, CEL: "'w' in auth.scopes"},
		},
		Headers:         []HeaderExpr{{Name: "x-user", Source: 1, CEL: "auth.subject"}, {Name: "x-zone", Value: "a"}},
		Unauthenticated: &Reply{Status: 401, Code: "unauthenticated"}, Denied: reply, ForwardCredentials: true,
	}
	checks := &Validation{Sources: []Source{{Policy: "ValidationPolicy shop/format"}}, Checks: []Check{{
		Name: "body", Methods: []string{"POST"}, MaxBodyBytes: 10, ContentTypes: []string{"application/json"},
		Headers: []Param{{Name: "x-id", Required: true, Type: "string", Pattern: "[a-z]+", Enum: []string{"a", "b"}}},
		Query:   []Param{{Name: "limit", Type: "integer", Minimum: &low, Maximum: &low}},
		Schema:  &Schema{ID: "ConfigMap shop/schemas order.json", Document: []byte("{}")},
	}}}
	orders := &Action{
		Route: "HTTPRoute shop/orders", Rule: "0", Auth: auth, ShadowAuth: &Auth{Closed: reply, Sources: auth.Sources[1:]},
		Validation: checks, ShadowValidation: &Validation{Closed: reply, Sources: checks.Sources},
		Filters: []Filter{{RequestHeaders: edit}, {ResponseHeaders: edit}, {Rewrite: &Rewrite{Hostname: "b.example", Path: &PathEdit{Prefix: &prefix, Matched: "/old"}}}, {CORS: share}, {Mirror: &Mirror{Backend: "shop/shadow:80", Numerator: 1, Denominator: 5}}, {Mirror: &Mirror{Backend: "shop/all:80", Numerator: 1, Denominator: 1}}},
		Backends: []WeightedBackend{
			{Backend: "shop/api:8080", Weight: 90, Filters: []Filter{{RequestHeaders: edit}}},
			{Weight: 10, Reply: &Reply{Status: 500, Code: "backend_not_found"}},
		},
		Timeouts: Timeouts{Request: 5 * time.Second, Backend: time.Second},
	}
	moved := &Action{Route: "HTTPRoute shop/moved", Rule: "here", Filters: []Filter{{Redirect: &Redirect{
		Scheme: "https", Hostname: "c.example",
		Path: &PathEdit{Full: &path}, Port: 8443, Status: 301,
	}}}}
	broken := &Action{Route: "HTTPRoute shop/broken", Rule: "1", Reply: &Reply{Status: 500, Code: "rule_invalid"}}
	return &Table{
		Listeners: []*Listener{{
			ID: "infra/web/https", Address: "192.0.2.1", Port: 443, Protocol: HTTPS, Hostname: "*.example.com",
			Certificates: []*Certificate{{ID: "infra/wild", Chain: []byte("chain"), Key: Secret("hidden key")}},
			Hosts: []*Host{{Name: "a.example.com", Rules: []*Rule{
				{Match: Match{
					Path: PathMatch{Kind: PathExact, Value: "/old"}, Method: "GET", Headers: []ValueMatch{{"x-env", ValueExact, "test"}},
					Query: []ValueMatch{{"v", ValueRegex, "[0-9]+"}},
				}, Action: orders},
				{Match: Match{Path: PathMatch{Kind: PathRegex, Value: "/a|b"}}, Action: orders},
				{Match: Match{Path: PathMatch{Kind: PathPrefix, Value: "/m"}}, Action: moved},
				{Match: Match{Path: PathMatch{Kind: PathPrefix, Value: "/"}}, Action: broken},
			}}},
		}},
		Backends: []*Backend{{ID: "shop/api:8080", Protocol: BackendH2C}},
		KeySets:  []*KeySet{{ID: "uri https://issuer.example/keys", URI: "https://issuer.example/keys"}, {ID: "k", Inline: []byte("{}")}, {ID: "d", Discovery: "https://d.example"}},
		Rejected: []Rejection{{Object: "HTTPRoute shop/broken rule 1", Reason: "backend shop/gone not found", Status: 500}, {Object: "o", Reason: "r"}},
	}
}

const fullText = `listener infra/web/https 192.0.2.1:443 https host=*.example.com cert=infra/wild
  host a.example.com
    1 GET exact /old header x-env=test query v~[0-9]+ | AUTH | 90 shop/api:8080 request(set x-a="b c"; add x-b=c; remove x-c), 10 -> 500 backend_not_found | timeout 5s backend timeout 1s | HTTPRoute shop/orders 0
    2 regex "/a|b" | AUTH | 90 shop/api:8080 request(set x-a="b c"; add x-b=c; remove x-c), 10 -> 500 backend_not_found | timeout 5s backend timeout 1s | HTTPRoute shop/orders 0
    3 prefix /m | redirect(scheme https host c.example port 8443 path /all 301) | - | HTTPRoute shop/moved here
    4 prefix / | - | -> 500 rule_invalid | HTTPRoute shop/broken 1
backend shop/api:8080 h2c
keyset uri https://issuer.example/keys
keyset k inline 2 bytes
keyset d
rejected HTTPRoute shop/broken rule 1: backend shop/gone not found -> 500
rejected o: r -> takes nothing
`

const fullSteps = `auth:open=anonymous@0 partners=apiKey(1 key from query key from cookie k)@1 people=basic(1 user)@0 ` +
	`staff=jwt(https://issuer.example aud=orders) when(request.method == 'GET')@0 services=clientCertificate(san URI spiffe://shop.example/* & cn orders; subject CN=a,O=b & spki pin)@0 waiting=unavailable(Secret shop/gone not found)@0 ` +
	`require="staff || partners" rule office(allow 192.0.2.0/24 deny 192.0.2.7/32)@0 ` +
	`rule writers('w' in auth.scopes) when(request.method != 'GET')@1 header x-user=cel(auth.subject)@1 header x-zone=a@0 ` +
	`unauthenticated -> 401 unauthenticated denied -> 403 denied retry 1s body 2 bytes forwards credentials ` +
	`by @0 AuthPolicy infra/base when(true), @1 AuthPolicy shop/orders ` +
	`shadow:-> 403 denied retry 1s body 2 bytes by AuthPolicy shop/orders ` +
	`check:body(POST; body<=10; type=application/json; header x-id! string ~[a-z]+ in a,b; query limit integer>=1.5<=1.5; ` +
	`schema ConfigMap shop/schemas order.json 2 bytes) by ValidationPolicy shop/format ` +
	`shadow-check:-> 403 denied retry 1s body 2 bytes by ValidationPolicy shop/format ` +
	`request(set x-a="b c"; add x-b=c; remove x-c) response(set x-a="b c"; add x-b=c; remove x-c) rewrite(host b.example prefix /old to /new) cors(from https://a.example; methods GET PUT; headers *; credentials; age 60) mirror(1/5 shop/shadow:80) mirror(shop/all:80)`

func TestText(t *testing.T) {
	got := full().Text()
	if want := strings.ReplaceAll(fullText, "AUTH", fullSteps); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if strings.Contains(got, "hidden") {
		t.Error("a secret shows")
	}
}

// Every value of a table is changed in turn: the hash must tell.
func TestHash(t *testing.T) {
	if one, other := full().Hash(), full().Hash(); one != other {
		t.Fatal("equal tables, other hashes")
	}
	tbl := full()
	want := tbl.Hash()
	changed := 0
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem(), path)
			}
			return
		case reflect.Struct:
			if p, ok := v.Interface().(netip.Prefix); ok {
				v.Set(reflect.ValueOf(netip.PrefixFrom(p.Addr(), p.Bits()-1)))
				break
			}
			for i := range v.NumField() {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
			return
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i), path+"[]")
			}
			if v.Kind() == reflect.Array || v.Len() == 0 {
				return
			}
			v.Set(v.Slice(0, v.Len()-1))
		case reflect.Map:
			if v.Len() == 0 {
				return
			}
			v.Set(reflect.ValueOf(map[string]string{"tier": "2"}))
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Float64:
			v.SetFloat(v.Float() + 1)
		default:
			if v.CanInt() {
				v.SetInt(v.Int() + 1)
			} else {
				v.SetUint(v.Uint() + 1)
			}
		}
		if changed++; tbl.Hash() == want {
			t.Errorf("%s changed, the hash did not", path)
		}
		v.Set(old)
	}
	walk(reflect.ValueOf(tbl), "table")
	if tbl.Hash() != want || changed < 200 {
		t.Errorf("the walk is at fault: %d changes", changed)
	}
}

func TestJSON(t *testing.T) {
	first, err := full().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(first), "hidden") {
		t.Error("a secret shows")
	}
	loaded, err := Load(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loaded.Marshal()
	if err != nil || string(first) != string(second) {
		t.Errorf("%v: got:\n%s\nwant:\n%s", err, second, first)
	}
	if rules := loaded.Listeners[0].Hosts[0].Rules; rules[0].Action != rules[1].Action || rules[1].Action == rules[2].Action {
		t.Error("actions are not shared as before")
	}
	if loaded.Text() != full().Text() {
		t.Error("the loaded table reads differently")
	}
}

// TestRuleIsOneLine: expressions are often written over several lines.
func TestRuleIsOneLine(t *testing.T) {
	r := &Rule{Action: &Action{Route: "HTTPRoute shop/orders", Rule: "0", Auth: &Auth{
		Sources: []Source{{Policy: "AuthPolicy shop/orders", When: []string{"a ||\r\nb"}}},
		Rules:   []AuthRule{{Name: "office", CEL: "a &&\nb\n"}},
	}}}
	if got, want := r.String(), "exact \"\" | auth:rule office(a && b ) by AuthPolicy shop/orders when(a || b) | - | HTTPRoute shop/orders 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProxiesOfALink(t *testing.T) {
	p := &Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("fe80::/10")}}
	if !p.Contains(netip.MustParseAddr("fe80::7%2")) || p.Contains(netip.MustParseAddr("fd00::7")) {
		t.Error("the addresses of a link are not those of its network")
	}
}

func TestLoadErrors(t *testing.T) {
	fails := func(data, want string) {
		t.Helper()
		if _, err := Load([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", data, err, want)
		}
	}
	fails(`{"listners": []}`, `unknown field "listners"`)
	fails(`{} {}`, "more behind the table")
	fails(`{"listeners": [null]}`, "listener is null")
	fails(`{"backends": [null]}`, "backend or key set is null")
	fails(`{"listeners": [{"id": "a", "hosts": [null]}]}`, "host is null")
	fails(`{"listeners": [{"id": "a", "certificates": [null]}]}`, "listener a: a certificate or stream is null")
	fails(`{"listeners": [{"id": "a", "streams": [null]}]}`, "listener a: a certificate or stream is null")
	fails(`{"listeners": [{"id": "a", "hosts": [{"name": "*", "rules": [{}]}]}]}`, "rule 1 has no action")
}

func FuzzLoad(f *testing.F) {
	seed, _ := full().Marshal()
	f.Add(seed)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"listeners": [{"id": "a", "certificates": [null]}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if t, err := Load(data); err == nil {
			_, _ = t.Text(), t.Hash()
		}
	})
}
