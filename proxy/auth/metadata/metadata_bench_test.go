package metadata

import (
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// kept is a step whose answer for x is kept.
func kept(t testing.TB, what string) (*Step, *exchange.Exchange) {
	t.Helper()
	s := newService(t)
	step := table.MetadataStep{TTL: time.Hour}
	switch what {
	case "key":
		step.HTTP = &table.MetadataHTTP{URL: s.URL, Path: "['accounts', auth.subject]", Key: "auth.subject"}
	case "question":
		step.HTTP = &table.MetadataHTTP{URL: s.URL, Path: "['accounts', auth.subject]"}
	default:
		step.UserInfo = &table.UserInfo{URL: s.URL}
	}
	made, x := newStep(t, &clock{}, step, nil), caller("ann", "token")
	is(t, made, x, auth.Accepted, "")
	return made, x
}

func TestKeptAnswerDoesNotAllocate(t *testing.T) {
	for _, what := range []string{"key", "userInfo"} {
		s, x := kept(t, what)
		if n := testing.AllocsPerRun(100, func() {
			x.Arena.Reset()
			if _, r := s.Fetch(x); r.Outcome != auth.Accepted {
				t.Fatal(r)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func BenchmarkKept(b *testing.B) {
	for _, what := range []string{"key", "question", "userInfo"} {
		b.Run(what, func(b *testing.B) {
			s, x := kept(b, what)
			b.ReportAllocs()
			for b.Loop() {
				x.Arena.Reset()
				if _, r := s.Fetch(x); r.Outcome != auth.Accepted {
					b.Fatal(r)
				}
			}
		})
	}
}
