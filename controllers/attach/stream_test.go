package attach

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/test/difference"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the one stream to run; 0 for the usual ones")

// TestIncrementalIsFull feeds random streams of objects to one Builder and asks
// after each step whether a Builder that sees the Graph for the first time finds
// the same, and whether a build without a change gives the same Policies.
func TestIncrementalIsFull(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	const steps = 400
	for _, seed := range seeds {
		st := &stream{rand.New(rand.NewPCG(seed, seed))}
		s, graphs, b := store.New(), newGraphs(), NewBuilder(Config{Controller: controller, Checks: strict()})
		for i := range steps {
			what := st.step(s)
			g := graphs.Build(s)
			got, full := b.Build(s, g), NewBuilder(b.config).Build(s, g)
			if !reflect.DeepEqual(got, full) {
				t.Fatalf("-seed %d step %d, %s: incremental differs from full %s", seed, i, what, difference.Between(got, full))
			}
			if again := b.Build(s, graphs.Build(s)); again != got {
				t.Fatalf("-seed %d step %d: a second Build of the same store made other Policies", seed, i)
			}
		}
	}
}

type stream struct{ r *rand.Rand }

func pick[T any](st *stream, from ...T) T { return from[st.r.IntN(len(from))] }
func (st *stream) namespace() string      { return pick(st, "a", "b") }

func (st *stream) elsewhere() *gatewayv1.Namespace {
	return pick(st, nil, ptr[gatewayv1.Namespace]("a"), ptr[gatewayv1.Namespace]("b"))
}

func ptr[T any](v T) *T { return &v }

func (st *stream) meta(names ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: st.namespace(), Name: pick(st, names...), CreationTimestamp: metav1.NewTime(time.Unix(int64(st.r.IntN(3)), 0))}
}

// step changes one object, and says which.
func (st *stream) step(s *store.Store) string {
	kind, obj := st.object()
	if gone := st.r.IntN(100) < 20; gone {
		s.Delete(kind, nameOf(obj))
		return fmt.Sprintf("%s %s gone", kind, nameOf(obj))
	}
	s.Apply(obj)
	return fmt.Sprintf("%s %s", kind, nameOf(obj))
}

func (st *stream) object() (store.Kind, metav1.Object) {
	labels := pick(st, nil, map[string]string{"edge": "yes"}, map[string]string{"edge": "no"})
	switch n := st.r.IntN(100); {
	case n < 5:
		class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
		class.Spec.ControllerName = controller
		return store.GatewayClass, class
	case n < 20:
		gw := &gatewayv1.Gateway{ObjectMeta: st.meta("gw", "hw")}
		gw.Spec.GatewayClassName = pick[gatewayv1.ObjectName](st, "one", "one", "two")
		for _, name := range []gatewayv1.SectionName{"l", "m"}[:1+st.r.IntN(2)] {
			all := &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: ptr(gatewayv1.NamespacesFromAll)}}
			gw.Spec.Listeners = append(gw.Spec.Listeners, gatewayv1.Listener{Name: name, Port: pick[int32](st, 80, 81), Protocol: "HTTP", AllowedRoutes: all})
		}
		return store.Gateway, gw
	case n < 50:
		return store.HTTPRoute, st.route()
	case n < 58:
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace(), Name: pick(st, "s", "t"), Labels: labels}}
		secret.Data = pick(st, nil, map[string][]byte{"apiKey": []byte("k")}, map[string][]byte{v1alpha1.HtpasswdKey: []byte("a:bad\n")},
			map[string][]byte{v1alpha1.ClientSecretKey: []byte("c"), v1alpha1.RedisURLKey: []byte("redis://r")})
		return store.Secret, secret
	case n < 59:
		grant := &gatewayv1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace(), Name: pick(st, "g", "h")}}
		grant.Spec.From = []gatewayv1.ReferenceGrantFrom{{Group: v1alpha1.GroupName, Kind: "AuthPolicy", Namespace: gatewayv1.Namespace(st.namespace())}}
		grant.Spec.To = []gatewayv1.ReferenceGrantTo{{Kind: "Secret", Name: pick(st, nil, ptr[gatewayv1.ObjectName]("s"))}}
		return store.ReferenceGrant, grant
	case n < 62:
		return store.ConfigMap, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace(), Name: "c"}, Data: map[string]string{"k": pick(st, "{}", "bad", "")}}
	case n < 85:
		p := &v1alpha1.AuthPolicy{ObjectMeta: st.meta("p", "q", "r")}
		p.Spec = st.authSpec()
		return store.AuthPolicy, p
	}
	p := &v1alpha1.ValidationPolicy{ObjectMeta: st.meta("p", "q", "r")}
	p.Spec.PolicyTargets = st.targets()
	p.Spec.Rules = &v1alpha1.ValidationRules{Checks: map[string]v1alpha1.ValidationCheck{pick(st, "x", "y"): {
		JSONSchema: &v1alpha1.JSONSchemaSource{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "c", Key: "k"}},
	}}}
	return store.ValidationPolicy, p
}

func (st *stream) route() *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{ObjectMeta: st.meta("r1", "r2", "r3")}
	for range 1 + st.r.IntN(2) {
		route.Spec.ParentRefs = append(route.Spec.ParentRefs, gatewayv1.ParentReference{
			Name: pick[gatewayv1.ObjectName](st, "gw", "hw", "none"), Namespace: pick(st, nil, ptr[gatewayv1.Namespace]("a")),
			SectionName: pick(st, nil, nil, ptr[gatewayv1.SectionName]("l")),
		})
	}
	for i := range 1 + st.r.IntN(2) {
		route.Spec.Rules = append(route.Spec.Rules, gatewayv1.HTTPRouteRule{Name: pick(st, nil, ptr(gatewayv1.SectionName(fmt.Sprintf("rule%d", i))))})
	}
	return route
}

func (st *stream) targets() v1alpha1.PolicyTargets {
	t := v1alpha1.PolicyTargets{Mode: pick[v1alpha1.Mode](st, "", v1alpha1.ModeShadow, v1alpha1.ModeEnforce)}
	for range 1 + st.r.IntN(2) {
		ref := gatewayv1.LocalPolicyTargetReferenceWithSectionName{}
		ref.Group = gatewayv1.GroupName
		if ref.Kind = pick[gatewayv1.Kind](st, "Gateway", "HTTPRoute"); ref.Kind == "Gateway" {
			ref.Name, ref.SectionName = pick[gatewayv1.ObjectName](st, "gw", "hw", "none"), pick(st, nil, ptr[gatewayv1.SectionName]("l"))
		} else {
			ref.Name, ref.SectionName = pick[gatewayv1.ObjectName](st, "r1", "r2", "r3"), pick(st, nil, ptr[gatewayv1.SectionName]("rule0"))
		}
		t.TargetRefs = append(t.TargetRefs, ref)
	}
	return t
}

func (st *stream) authSpec() v1alpha1.AuthPolicySpec {
	spec := v1alpha1.AuthPolicySpec{PolicyTargets: st.targets()}
	method := pick(st,
		v1alpha1.AuthenticationMethod{Anonymous: &v1alpha1.AnonymousAuthentication{}},
		v1alpha1.AuthenticationMethod{APIKey: &v1alpha1.APIKeyAuthentication{Namespace: st.elsewhere(), Selector: metav1.LabelSelector{MatchLabels: map[string]string{"edge": "yes"}}}},
		v1alpha1.AuthenticationMethod{Basic: &v1alpha1.BasicAuthentication{}},
		v1alpha1.AuthenticationMethod{ClientCertificate: &v1alpha1.ClientCertificateAuthentication{
			Match: []v1alpha1.CertificateMatch{{SPKISHA256: pick(st, strings.Repeat("ab", 32), "torn")}},
		}},
		v1alpha1.AuthenticationMethod{Kubernetes: &v1alpha1.KubernetesAuthentication{}},
		v1alpha1.AuthenticationMethod{Introspection: &v1alpha1.IntrospectionAuthentication{
			Issuer: "https://issuer.example", Audiences: []string{"shop"}, BackendRef: pick(st, nil, &v1alpha1.ServicePort{Name: "svc", Port: 80}),
			ClientSecretRef: v1alpha1.SecretReference{Name: pick[gatewayv1.ObjectName](st, "s", "t")},
		}},
		v1alpha1.AuthenticationMethod{OIDC: &v1alpha1.OIDCAuthentication{Issuer: "https://issuer.example", ClientID: "shop"}},
	)
	if method.OIDC != nil {
		method.OIDC.ClientSecretRef.Name = pick[gatewayv1.ObjectName](st, "s", "t")
		store := &v1alpha1.OIDCSessionStore{}
		store.Redis.SecretRef.Name = pick[gatewayv1.ObjectName](st, "s", "t")
		method.OIDC.Session = pick(st, nil, &v1alpha1.OIDCSession{Store: store})
	}
	if method.Basic != nil {
		method.Basic.SecretRef.Name, method.Basic.SecretRef.Namespace = pick[gatewayv1.ObjectName](st, "s", "t"), st.elsewhere()
	}
	rules := v1alpha1.AuthRules{
		When:           pick(st, nil, []v1alpha1.Expression{pick[v1alpha1.Expression](st, "request.method == 'GET'", "bad(")}),
		Authentication: map[string]v1alpha1.AuthenticationMethod{pick(st, "x", "y"): method},
	}
	reference := &v1alpha1.ConfigMapKeyReference{Name: "c", Key: "k"}
	rules.Authorization = pick(st, nil, map[string]v1alpha1.AuthorizationRule{pick(st, "x", "y"): pick(st,
		v1alpha1.AuthorizationRule{OPA: &v1alpha1.OPAAuthorization{ConfigMapRef: reference}},
		v1alpha1.AuthorizationRule{OPA: &v1alpha1.OPAAuthorization{Policy: ptr("package a"), DataRef: reference}},
		v1alpha1.AuthorizationRule{Kubernetes: &v1alpha1.KubernetesAuthorization{}},
		v1alpha1.AuthorizationRule{CEL: pick(st, ptr[v1alpha1.Expression]("metadata.x"), ptr[v1alpha1.Expression]("metadata.y"))},
	)})
	rules.Metadata = pick(st, nil, map[string]v1alpha1.MetadataStep{pick(st, "x", "y"): pick(st,
		v1alpha1.MetadataStep{UserInfo: &v1alpha1.MetadataUserInfo{Issuer: ptr("https://issuer.example")}},
		v1alpha1.MetadataStep{HTTP: &v1alpha1.MetadataHTTP{BackendRef: &v1alpha1.ServicePort{Name: "svc", Port: 80}, Path: pick(st, nil, ptr[v1alpha1.Expression]("metadata.x"))}},
		v1alpha1.MetadataStep{HTTP: &v1alpha1.MetadataHTTP{URL: ptr("http://a"), SecretHeader: &v1alpha1.MetadataSecret{SecretRef: v1alpha1.SecretKeyReference{
			SecretReference: v1alpha1.SecretReference{Name: pick[gatewayv1.ObjectName](st, "s", "t"), Namespace: st.elsewhere()}, Key: "apiKey",
		}}}},
	)})
	section := &v1alpha1.AuthSection{Strategy: pick(st, v1alpha1.StrategyAtomic, v1alpha1.StrategyMerge), Rules: rules}
	switch st.r.IntN(3) {
	case 0:
		spec.Rules = &rules
	case 1:
		spec.Defaults = section
	default:
		spec.Overrides = section
	}
	return spec
}
