package feature

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// While an issuer cannot be reached only what needs its keys is closed, and only for as long.
func TestIssuerOutage(t *testing.T) {
	issuer := NewIssuer(t)
	issuer.Down(true)
	w := Start(t, Base+key("good", "k-good", "")+Route("r", toAPI)+HostRoute("open", "open.example", toAPI)+
		Auth("a", guarded, `rules: {authentication: {robots: {`+apiKeys+`}, staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop]}}}, `+subject+`}`))
	is := decides(t, w)
	token := "authorization: Bearer " + issuer.Token()
	others := func() {
		t.Helper()
		is("robots good-owner", "GET http://a/", "x-api-key: k-good")
		is("", "GET http://open.example/")
	}
	a := w.Do("GET http://a/", token)
	if a.Status != 503 || a.Code() != "key_set_unavailable" || atoi(a.Header.Get("Retry-After")) < 1 || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %s %v", a.Status, a.Code(), a.Header)
	}
	others()
	issuer.Down(false)
	w.Until("the key set is fetched", func() bool { others(); return w.Do("GET http://a/", token).Status == 200 })
	is("staff ann", "GET http://a/", token)

	// Keys once fetched stay in force, through tables too.
	issuer.Down(true)
	w.Apply(HostRoute("more", "more.example", toAPI))
	is("staff ann", "GET http://a/", token)
	is("staff eve", "GET http://a/", "authorization: Bearer "+issuer.Token(`"sub":"eve"`))
	others()
}

// Tokens with made-up key ids cannot make the gateway hammer the issuer.
func TestUnknownKeyIDs(t *testing.T) {
	issuer := NewIssuer(t)
	w := Start(t, Base+Route("r", toAPI)+Auth("a", guarded,
		`rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {uri: "`+issuer.KeySetURL()+`"}}}}, `+subject+`}`))
	token := "authorization: Bearer " + issuer.Token()
	w.Until("the key set is fetched", func() bool { return w.Do("GET http://a/", token).Status == 200 })
	before, start := issuer.Fetched(), time.Now()
	var storm sync.WaitGroup
	for n := range 8 {
		c := w.Client("")
		storm.Go(func() {
			for i := range 50 {
				bad := "authorization: Bearer " + issuer.Signed(fmt.Sprint("made-up-", n, "-", i))
				if a, err := Fetch(c, "GET http://a/", "", bad); err != nil || outcome(a) != "401 jwt_key_unknown" {
					t.Errorf("%v %s", err, outcome(a))
					return
				}
			}
		})
	}
	storm.Wait()
	// One fetch in eight seconds or more.
	if n, most := issuer.Fetched()-before, 1+int(time.Since(start)/(8*time.Second)); n > most {
		t.Errorf("400 unknown key ids made %d fetches, want %d at most", n, most)
	}
	decides(t, w)("staff ann", "GET http://a/", token)
}
