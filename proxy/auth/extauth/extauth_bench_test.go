package extauth

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// kept is a service whose answer to x is kept.
func kept(tb testing.TB, c *table.AuthCache) (*Service, *exchange.Exchange) {
	tb.Helper()
	e := &envoy{answer: func(*authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return allows(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{setting("x-user", "alice")}}), nil
	}}
	s := newStage(tb)
	s.endpoint(e.serve(tb))
	service := s.service(tb, table.ExternalAuth{GRPC: true, Headers: []string{"*"}, Cache: c})
	x := request("Authorization", "Bearer t", "Accept", "*/*", "User-Agent", "curl/8")
	if r := service.Authorize(x); r.Outcome != auth.Accepted {
		tb.Fatalf("%+v", r)
	}
	return service, x
}

func TestKeptAnswerDoesNotAllocate(t *testing.T) {
	service, x := kept(t, &table.AuthCache{Headers: []string{"authorization"}, TTL: time.Hour})
	fields := len(x.Request.Header)
	if n := testing.AllocsPerRun(100, func() {
		x.Arena.Reset()
		x.Request.Header, x.Request.Reserved = x.Request.Header[:fields], nil
		if !service.FilterRequest(x) {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMethod(b *testing.B) {
	for name, c := range map[string]*table.AuthCache{
		"headers": {Headers: []string{"authorization"}, TTL: time.Hour},
		"key":     {Key: `request.headers["authorization"]`, TTL: time.Hour},
	} {
		b.Run("rules/externalAuth cached by "+name, func(b *testing.B) {
			service, x := kept(b, c)
			b.ReportAllocs()
			for b.Loop() {
				x.Arena.Reset()
				if r := service.Authorize(x); r.Outcome != auth.Accepted {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("rules/externalAuth asked", func(b *testing.B) {
		service, x := kept(b, nil)
		b.ReportAllocs()
		for b.Loop() {
			x.Arena.Reset()
			if r := service.Authorize(x); r.Outcome != auth.Accepted {
				b.Fatal("refused")
			}
		}
	})
}
