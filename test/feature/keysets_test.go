package feature

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// While an issuer cannot be reached only what needs its keys is closed, and only for as long.
func TestIssuerOutage(t *testing.T) {
	t.Parallel()
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

// lost counts what became of requests, by outcome.
type lost map[string]int

func (l lost) String() string {
	text := ""
	for _, k := range slices.Sorted(maps.Keys(l)) {
		text += fmt.Sprintf(", %d %s", l[k], k)
	}
	return strings.TrimPrefix(text, ", ")
}

// watched is a gateway with a route that takes the issuer's tokens, and one that
// is open.
func watched(t *testing.T, issuer *Issuer) *World {
	return Start(t, Base+Route("r", toAPI)+HostRoute("open", "open.example", toAPI)+Auth("a", guarded,
		`rules: {authentication: {staff: {jwt: {issuer: "`+issuer.URL()+`", audiences: [shop], jwks: {uri: "`+issuer.KeySetURL()+`"}}}}, `+subject+`}`))
}

const notYet = "503 key_set_unavailable"

// Whatever becomes of the identity provider: while that is why a token cannot be
// judged the answer is 503, with when to come back; tokens whose keys are known
// are taken; other routes do not notice; and nobody hammers it.
func TestJWTFaults(t *testing.T) {
	t.Parallel()
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newKey(t), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	says := func(status int, text string) func(http.ResponseWriter, *http.Request, <-chan struct{}) {
		return func(rw http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, text)
		}
	}
	for what, fault := range map[string]func(http.ResponseWriter, *http.Request, <-chan struct{}){
		"down": says(503, ""),
		"slow": func(_ http.ResponseWriter, r *http.Request, mended <-chan struct{}) {
			select {
			case <-mended:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		},
		"resets":      func(http.ResponseWriter, *http.Request, <-chan struct{}) { panic(http.ErrAbortHandler) },
		"rubbish":     says(200, "<html>"),
		"no keys":     says(200, `{"keys":[]}`),
		"10 MB":       says(200, `{"keys":[], "more": "`+strings.Repeat("x", 10<<20)+`"}`),
		"private key": says(200, string(private)),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			issuer := NewIssuer(t)
			t.Cleanup(func() { issuer.Fault(nil) })
			issuer.Fault(fault)
			w := watched(t, issuer)
			c := w.Client("")
			known, newer := "authorization: Bearer "+issuer.Token(), ""
			// ask sends 25 rounds of requests or more, until the issuer was asked
			// for its keys so often, and wants what is given of each.
			ask := func(when string, asked int, wantKnown, wantNewer string) {
				t.Helper()
				var mu sync.Mutex
				route, others := lost{}, lost{}
				send := func(token, want string) {
					a, err := Fetch(c, "GET http://a/", "", token)
					if err != nil || outcome(a) != want || want == notYet && (atoi(a.Header.Get("Retry-After")) < 1 || a.Header.Get("WWW-Authenticate") != "") {
						t.Errorf("%s: %v %s %v, want %s", when, err, outcome(a), a.Header, want)
					}
					mu.Lock()
					defer mu.Unlock()
					route[outcome(a)]++
				}
				start, before := time.Now(), issuer.Fetched()
				var waiting sync.WaitGroup // a request whose key is unknown may wait for the issuer
				if wantNewer != "" {
					waiting.Go(func() {
						for send(newer, wantNewer); issuer.Fetched() < asked && time.Since(start) < 10*time.Second; {
							send(newer, wantNewer)
						}
					})
				}
				rounds := 0
				w.Until(when, func() bool {
					send(known, wantKnown)
					others[strings.TrimSpace("200 "+outcome(w.Over(c, "GET http://open.example/", "")))]++
					rounds++
					return rounds >= 25 && issuer.Fetched() >= asked
				})
				waiting.Wait()
				if others["200"] != rounds {
					t.Errorf("%s: other routes: %v", when, others)
				}
				fetches := issuer.Fetched() - before
				if most := 2 + int(time.Since(start)/(800*time.Millisecond)); fetches > most {
					t.Errorf("%s: %d fetches, want %d at most", when, fetches, most)
				}
				t.Logf("%s: the route: %v; others: %v; fetches: %d", when, route, others, fetches)
			}
			ask("at the start", 1, notYet, "")
			issuer.Fault(nil)
			w.Until("the keys are fetched", func() bool { return w.Over(c, "GET http://a/", "", known).Status == 200 })
			issuer.Fault(fault)
			issuer.AddKey("newer")
			newer = "authorization: Bearer " + issuer.Signed("newer")
			ask("later", issuer.Fetched()+1, "staff ann", notYet)
			issuer.Fault(nil)
			w.Until("the newer key is fetched", func() bool { return w.Over(c, "GET http://a/", "", newer).Status == 200 })
			ask("after it", 0, "staff ann", "staff ann")
		})
	}
}

// An issuer that changes its keys again and again is followed: a token signed with
// one we have yet to fetch is never refused, only put off.
func TestJWTRotation(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := watched(t, issuer)
	c := w.Client("")
	w.Until("the key set is fetched", func() bool {
		return w.Over(c, "GET http://a/", "", "authorization: Bearer "+issuer.Token()).Status == 200
	})
	route, others, kid, before := lost{}, lost{}, "k", issuer.Fetched()
	for i := range 2 {
		old := "authorization: Bearer " + issuer.Signed(kid)
		next := fmt.Sprint("k", i)
		issuer.AddKey(next)
		token := "authorization: Bearer " + issuer.Signed(next)
		w.Until("the new key is taken", func() bool {
			others[strings.TrimSpace("200 "+outcome(w.Over(c, "GET http://open.example/", "")))]++
			if got := outcome(w.Over(c, "GET http://a/", "", old)); got != "staff ann" {
				t.Errorf("the key before: %s", got)
			}
			got := outcome(w.Over(c, "GET http://a/", "", token))
			route[got]++
			return got != notYet
		})
		issuer.RemoveKey(kid)
		kid = next
	}
	if route["staff ann"] != 2 || len(route) > 2 || len(others) != 1 || others["200"] == 0 {
		t.Error("what became of tokens signed with new keys:", route, "other routes:", others)
	}
	t.Logf("two new keys: the route: %v; others: %v; fetches: %d", route, others, issuer.Fetched()-before)
}

// Tokens with made-up key ids cannot make the gateway hammer the issuer.
func TestUnknownKeyIDs(t *testing.T) {
	t.Parallel()
	issuer := NewIssuer(t)
	w := watched(t, issuer)
	token := "authorization: Bearer " + issuer.Token()
	w.Until("the key set is fetched", func() bool { return w.Do("GET http://a/", token).Status == 200 })
	bad := "authorization: Bearer " + issuer.Signed("nobody's")
	w.Until("the issuer was asked about it", func() bool { return outcome(w.Do("GET http://a/", bad)) == "401 jwt_key_unknown" })
	before, start := issuer.Fetched(), time.Now()
	var storm sync.WaitGroup
	var mu sync.Mutex
	route, others := lost{}, lost{}
	for n := range 8 {
		c := w.Client("")
		storm.Go(func() {
			for i := range 50 {
				for line, field := range map[string]string{
					"GET http://a/":            "authorization: Bearer " + issuer.Signed(fmt.Sprint("made-up-", n, "-", i)),
					"GET http://a/known":       token,
					"GET http://open.example/": "x-nothing: here",
				} {
					a, err := Fetch(c, line, "", field)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if line == "GET http://a/" {
						route[outcome(a)]++
					} else {
						others[itoa(a.Status)]++
					}
					mu.Unlock()
				}
			}
		})
	}
	storm.Wait()
	// One fetch in each back-off: 1, 2, 4 s and so on, less a fifth at most, up to 10 s.
	most, sum := 1, time.Duration(0)
	for pause := 800 * time.Millisecond; sum+pause <= time.Since(start); pause = min(2*pause, 8*time.Second) {
		sum += pause
		most++
	}
	fetches := issuer.Fetched() - before
	if fetches > most {
		t.Errorf("400 unknown key ids made %d fetches, want %d at most", fetches, most)
	}
	if route["401 jwt_key_unknown"]+route[notYet] != 400 || others["200"] != 800 {
		t.Errorf("%v; %v", route, others)
	}
	t.Logf("made-up key ids: %v; known tokens and other routes: %v; fetches: %d", route, others, fetches)
	decides(t, w)("staff ann", "GET http://a/", token)
}
