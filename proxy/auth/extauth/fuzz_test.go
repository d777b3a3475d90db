package extauth

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-dev/gatehouse/proxy/auth"
)

// FuzzCheckResponse: what we let pass, the generated types read as allowed too;
// and nothing is set that must not be.
func FuzzCheckResponse(f *testing.F) {
	for _, m := range []*authv3.CheckResponse{
		{},
		allows(nil), denies(nil),
		allows(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{setting("x-a", "1")}, HeadersToRemove: []string{"x-b"}}),
		denies(&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 401}, Body: "no", Headers: []*corev3.HeaderValueOption{setting("x-a", "1")}}),
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := checkResponse(b)
		if err != nil {
			return
		}
		var m authv3.CheckResponse
		if proto.Unmarshal(b, &m) == nil && (m.GetStatus().GetCode() == 0) != (r.Outcome == auth.Accepted) {
			t.Fatalf("%v is %+v", &m, r)
		}
		if r.Answer == nil {
			return
		}
		if len(r.Answer.Edits) != len(r.Answer.Names) {
			t.Fatalf("%d edits, %d names", len(r.Answer.Edits), len(r.Answer.Names))
		}
		for i, name := range r.Answer.Names {
			if !token(name) || hop(name) || !printable(r.Answer.Edits[i].Value) {
				t.Fatalf("sets %q: %q", name, r.Answer.Edits[i].Value)
			}
		}
		for _, h := range r.Answer.Header {
			if !token(h.Name) || hop(h.Name) || !printable(h.Value) {
				t.Fatalf("answers %q: %q", h.Name, h.Value)
			}
		}
		if s := r.Answer.Status; r.Outcome == auth.Rejected && (s < 301 || s > 599) {
			t.Fatalf("status %d", s)
		}
	})
}
