package spec

import (
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestMethods(t *testing.T) {
	f := func(kind, service, method, want string, serviceRank, methodRank int) {
		t.Helper()
		m := gatewayv1.GRPCMethodMatch{}
		if kind != "" {
			m.Type = (*gatewayv1.GRPCMethodMatchType)(&kind)
		}
		if service != "" {
			m.Service = &service
		}
		if method != "" {
			m.Method = &method
		}
		p := methodForm(&m)
		if got := string(*p.Type) + " " + *p.Value; got != want {
			t.Errorf("%s %s/%s: %s, want %s", kind, service, method, got, want)
		}
		if s, n := MethodRank(*p.Type, *p.Value); s != serviceRank || n != methodRank {
			t.Errorf("%s %s/%s: rank %d %d, want %d %d", kind, service, method, s, n, serviceRank, methodRank)
		}
		if problem := methodProblem(p, "f"); problem != nil {
			t.Errorf("%s %s/%s: %s", kind, service, method, problem.Text)
		}
	}
	f("", "a.B", "C", "Exact /a.B/C", 3, 1)
	f("Exact", "a.B", "", `RegularExpression /(?:a\.B)/(?:[^/]+)`, 3, 0)
	f("", "", "Get", `RegularExpression /(?:[^/]+)/(?:Get)`, 0, 3)
	f("", "", "", "PathPrefix /", 0, 0)
	f("RegularExpression", "a|b", "", "RegularExpression /(?:a|b)/(?:[^/]+)", 3, 0)
	f("RegularExpression", "a.*", "Get.+", "RegularExpression /(?:a.*)/(?:Get.+)", 3, 5)
}

// No parenthesis of a service or method closes the group that it stands in.
func TestStrayParentheses(t *testing.T) {
	for _, m := range [][2]string{{"a)|(?:b", "c"}, {"a", "b)|(?:c"}, {"a)/(?:b", "c"}, {"", "b)|(?:c"}} {
		kind := gatewayv1.GRPCMethodMatchRegularExpression
		match := gatewayv1.GRPCMethodMatch{Type: &kind, Method: &m[1]}
		if m[0] != "" {
			match.Service = &m[0]
		}
		if methodProblem(methodForm(&match), "f") == nil {
			t.Errorf("%q is taken", m)
		}
	}
}
