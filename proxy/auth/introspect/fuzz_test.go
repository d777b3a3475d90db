package introspect

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// FuzzAnswer: nothing panics, only what says "active": true is accepted, and an
// answer is kept neither beyond its time nor beyond the token's.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"sub":"ann","aud":["shop"],"exp":2000000000,"nbf":1,"token_type":"Bearer","scope":"a b"}`,
		`{"active":false}`, `{"active":true,"aud":"shop","exp":1e300}`, `{"active":true,"aud":null,"exp":null,"iss":[]}`, `[`, ``, `{"active":1}`,
	} {
		f.Add([]byte(seed))
	}
	s := &Server{t: &table.Introspection{Issuer: "https://me", Audiences: []string{"shop"}, TTL: time.Minute, Spare: time.Hour}}
	const now = 1_900_000_000
	f.Fuzz(func(t *testing.T, content []byte) {
		document, err := read(&remote.Answer{Status: 200, Content: content})
		if err != nil {
			return
		}
		v, err := s.judge(document)
		if err != nil {
			return
		}
		life := s.life(v, now)
		if life.Fresh <= 0 || life.Fresh > time.Minute || life.Spare < 0 || v.cause(now) != "" && life.Fresh+life.Spare > negativeTTL {
			t.Fatalf("%s: %+v", content, life)
		}
		if end := now + int64((life.Fresh+life.Spare)/time.Second); v.cause(now) == "" && v.expires != 0 && end > v.expires {
			t.Fatalf("%s: kept until %d, its exp is %d", content, end, v.expires)
		}
		var told struct {
			Active any `json:"active"`
		}
		var p exchange.Principal
		if r := v.result(now, &p); r.Outcome == auth.Accepted && json.Unmarshal(content, &told) == nil && told.Active != true && document["active"] != true {
			t.Fatalf("%s is accepted", content)
		}
	})
}
