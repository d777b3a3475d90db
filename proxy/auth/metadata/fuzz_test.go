package metadata

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/remote"
)

// FuzzAnswer: nothing panics, what is read has been found to be JSON before, and what an answer
// says of a user is taken for nobody else.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"ann","plan":"gold","tags":["a",1,null,1e300]}`, `{"sub":"bob"}`, `{"Sub":"ann"}`, `{"sub":"bob","sub":"ann"}`, `{"sub":1}`, `"ann"`,
		`[[[[[[]]]]]]`, `{"a":123456789012345678901234567890}`, "{\"a\":\"\xff\"}", `[`, ``,
	} {
		f.Add(200, []byte(seed))
	}
	f.Add(403, []byte(``))
	f.Add(503, []byte(`{}`))
	f.Fuzz(func(t *testing.T, status int, content []byte) {
		a := &remote.Answer{Status: status, Content: content}
		bad := judge(a)
		for _, about := range []bool{false, true} {
			said, err := read(a, about)
			if err != nil {
				continue
			}
			if bad != nil && said.code == "" {
				t.Fatalf("%d %s: read, though %v", status, content, bad)
			}
			x := &exchange.Exchange{Principal: exchange.Principal{Subject: "ann"}}
			value, r := said.result(x)
			if r.Outcome == auth.Accepted && (status != 200 || !json.Valid(content)) {
				t.Fatalf("%d %s: taken for %v", status, content, value)
			}
			var user map[string]any
			if r.Outcome == auth.Accepted && about && (json.Unmarshal(content, &user) != nil || said.subject != "ann") {
				t.Fatalf("%s is about %q, not ann", content, said.subject)
			}
		}
	})
}
