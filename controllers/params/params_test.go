package params

import (
	"encoding/json"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

func service(t *testing.T, text string) (s v1alpha1.ServiceParameters) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// found is what a Gateway gets whose class and which itself name parameters.
func found(t *testing.T, ofClass, own string) Found {
	t.Helper()
	s := store.New()
	for name, text := range map[string]string{"outer": ofClass, "inner": own} {
		p := &v1alpha1.GatewayParameters{}
		p.Name, p.Namespace, p.Spec.Service = name, "web", service(t, text)
		s.Apply(p)
	}
	class, gw := &gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}
	namespace := gatewayv1.Namespace("web")
	class.Spec.ParametersRef = &gatewayv1.ParametersReference{Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "outer", Namespace: &namespace}
	gw.Namespace = "web"
	gw.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{
		ParametersRef: &gatewayv1.LocalParametersReference{Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "inner"},
	}
	return Of(s.Read(), class, gw)
}

func TestGatewayOverClass(t *testing.T) {
	f := func(name, ofClass, own, want string) {
		t.Helper()
		got := found(t, ofClass, own)
		text, err := json.Marshal(got.Service)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := json.Marshal(service(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if got.Problem() != nil || string(text) != string(wanted) {
			t.Errorf("%s: got %s %v, want %s", name, text, got.Problem(), wanted)
		}
	}
	f("nothing", "{}", "{}", "{}")
	all := `{type: NodePort, labels: {a: "1"}, annotations: {b: "2"}, externalTrafficPolicy: Local, internalTrafficPolicy: Local, sessionAffinity: ClientIP,
		ipFamilyPolicy: SingleStack, ipFamilies: [IPv6], nodePorts: [{port: 80, nodePort: 30080, protocol: TCP}]}`
	f("the class's alone", all, "{}", all)
	f("the Gateway's alone", "{}", all, all)
	f("field by field", "{loadBalancerClass: a, externalTrafficPolicy: Local}", "{loadBalancerClass: b, sessionAffinity: ClientIP}",
		"{loadBalancerClass: b, externalTrafficPolicy: Local, sessionAffinity: ClientIP}")
	f("entry by entry", `{labels: {a: "1", b: "1"}, annotations: {x: "1"}}`, `{labels: {b: "2"}, annotations: {z: "2"}}`,
		`{labels: {a: "1", b: "2"}, annotations: {x: "1", z: "2"}}`)
	f("lists are whole", "{ipFamilies: [IPv4, IPv6], loadBalancerSourceRanges: [192.0.2.0/24]}", "{ipFamilies: [IPv6], loadBalancerSourceRanges: [198.51.100.0/24]}",
		"{ipFamilies: [IPv6], loadBalancerSourceRanges: [198.51.100.0/24]}")
	f("what does not go with the Gateway's type", "{loadBalancerClass: a, loadBalancerSourceRanges: [192.0.2.0/24], externalTrafficPolicy: Local, nodePorts: [{port: 80, nodePort: 30080}]}",
		"{type: ClusterIP}", "{type: ClusterIP}")
	f("nodes stay", "{loadBalancerClass: a, externalTrafficPolicy: Local}", "{type: NodePort}", "{type: NodePort, externalTrafficPolicy: Local}")
}

func TestWhatIsWrong(t *testing.T) {
	f := func(ofClass, own, want string) {
		t.Helper()
		got := found(t, ofClass, own).Problem()
		if got == nil || got.Reason != "InvalidParameters" || !strings.Contains(got.Text, want) {
			t.Errorf("%s %s: got %v, want %q", ofClass, own, got, want)
		}
	}
	f("{type: NodePort}", "{loadBalancerClass: a}", "GatewayParameters web/inner: spec.service.loadBalancerClass: does not go with type NodePort; remove it, or set another type beside it")
	f("{}", "{type: ClusterIP, loadBalancerSourceRanges: [192.0.2.0/24]}", "spec.service.loadBalancerSourceRanges: does not go with type ClusterIP")
	f("{type: ClusterIP, nodePorts: [{port: 80, nodePort: 30080}]}", "{}", "spec.parametersRef: GatewayParameters web/outer: spec.service.nodePorts: does not go with type ClusterIP")
	f("{}", "{loadBalancerSourceRanges: [192.0.2.0/24, 192.0.2.1]}", `spec.service.loadBalancerSourceRanges[1]: "192.0.2.1" is not in CIDR notation`)
	f("{}", "{ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]}", "spec.service.ipFamilies[1]: ipFamilyPolicy SingleStack takes one family; remove IPv6")
	f("{}", "{nodePorts: [{port: 80, nodePort: 30080}, {port: 81, nodePort: 30080}]}", "spec.service.nodePorts[1]: has the port or nodePort of nodePorts[0]")
	f("{}", "{loadBalancerClass: a/b/c}", `spec.service.loadBalancerClass: "a/b/c" is not a name`)
	f("{}", `{labels: {gateway.networking.k8s.io/gateway-name: x}}`, "spec.service.labels: gateway.networking.k8s.io/gateway-name is set by Gatehouse itself; remove it")
	f("{}", `{annotations: {gatehouse.dev/controller: x}}`, "spec.service.annotations: gatehouse.dev/controller is set by Gatehouse itself; remove it")
	f("{}", `{labels: {a b: x}}`, `spec.service.labels: "a b" is not a name`)
	f("{}", `{labels: {a: x y}}`, `spec.service.labels: "x y" is no value for label a`)
	f("{loadBalancerClass: a/b/c}", "{loadBalancerClass: a/b/c}", "spec.parametersRef: GatewayParameters web/outer")
}

func TestClients(t *testing.T) {
	f := func(ofClass, own, want string) {
		t.Helper()
		s := store.New()
		for name, text := range map[string]string{"outer": ofClass, "inner": own} {
			p := &v1alpha1.GatewayParameters{}
			p.Name, p.Namespace = name, "web"
			if err := yaml.UnmarshalStrict([]byte(text), &p.Spec.Clients); err != nil {
				t.Fatal(err)
			}
			s.Apply(p)
		}
		class, gw := &gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}
		namespace := gatewayv1.Namespace("web")
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "outer", Namespace: &namespace}
		gw.Namespace = "web"
		gw.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{
			ParametersRef: &gatewayv1.LocalParametersReference{Group: v1alpha1.GroupName, Kind: v1alpha1.KindGatewayParameters, Name: "inner"},
		}
		found := Of(s.Read(), class, gw)
		got := ""
		switch {
		case found.Problem() != nil:
			got = found.Problem().Text
		case found.Clients.ProxyProtocol != nil:
			got = strings.Join(found.Clients.ProxyProtocol.Trusted, " ")
		}
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s, %s: %q, want %q", ofClass, own, got, want)
		}
	}
	f("{}", "{}", "")
	f("{proxyProtocol: {trusted: [192.0.2.0/24]}}", "{}", "192.0.2.0/24")
	f("{proxyProtocol: {trusted: [192.0.2.0/24]}}", "{proxyProtocol: {trusted: [2001:db8::/32]}}", "2001:db8::/32")
	f("{}", "{proxyProtocol: {trusted: [192.0.2.0/24, 192.0.2.1]}}", `GatewayParameters web/inner: spec.clients.proxyProtocol.trusted[1]: "192.0.2.1" is not in CIDR notation`)
	f("{proxyProtocol: {mode: Optional}}", "{}", "spec.parametersRef: GatewayParameters web/outer: spec.clients.proxyProtocol.trusted: is empty")
}

func TestLimits(t *testing.T) {
	clients := func(text string) (c v1alpha1.ClientParameters) {
		t.Helper()
		if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	merged := func(ofClass, own string, port int32, want string) {
		t.Helper()
		outer, inner := clients(ofClass), clients(own)
		out := overClients(&outer, &inner)
		got, err := json.Marshal(Limits(&out, port))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s %s: port %d has %s, want %s", ofClass, own, port, got, want)
		}
	}
	merged("{}", "{}", 80, `{}`)
	merged("{limits: {maxConnections: 1, idleTimeout: 5s}}", "{limits: {maxConnections: 2}}", 80, `{"maxConnections":2,"idleTimeout":"5s"}`)
	const ofClass = "{limits: {maxConnections: 1, maxRequestsInFlight: 1}, ports: [{port: 80, limits: {maxConnections: 2}}]}"
	merged(ofClass, "{}", 80, `{"maxConnections":2,"maxRequestsInFlight":1}`)
	merged(ofClass, "{}", 443, `{"maxConnections":1,"maxRequestsInFlight":1}`)
	merged(ofClass, "{limits: {maxConnections: 3}}", 80, `{"maxConnections":3,"maxRequestsInFlight":1}`)
	merged(ofClass, "{limits: {maxConnections: 3}, ports: [{port: 80, limits: {maxConnections: 4}}, {port: 443, limits: {maxConnections: 5}}]}", 80, `{"maxConnections":4,"maxRequestsInFlight":1}`)
	merged(ofClass, "{ports: [{port: 443, limits: {maxConnections: 5}}]}", 443, `{"maxConnections":5,"maxRequestsInFlight":1}`)

	wrong := func(text, want string) {
		t.Helper()
		c := clients(text)
		got := checkClients(&c)
		if got == nil || got.Reason != "InvalidParameters" || got.Text != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	wrong("{limits: {maxConnections: 0}}", "spec.clients.limits.maxConnections: 0 is less than 1; raise it, or leave it out for no limit but the process's")
	wrong("{limits: {maxRequestHeaderBytes: 100}}", "spec.clients.limits.maxRequestHeaderBytes: 100 is less than 1024; raise it, or leave it out for no limit but the process's")
	wrong("{limits: {headerTimeout: 0s}}", "spec.clients.limits.headerTimeout: 0s is shorter than 100ms; lengthen it, or leave it out for the process's")
	wrong("{limits: {idleTimeout: 1d}}", `spec.clients.limits.idleTimeout: "1d" is not a duration; write 500ms, 10s or 1m30s`)
	wrong("{ports: [{port: 80, limits: {maxRequestBodyBytes: -1}}]}", "spec.clients.ports[0].limits.maxRequestBodyBytes: -1 is less than 1; raise it, or leave it out for no limit but the process's")
	wrong("{ports: [{port: 80, limits: {}}, {port: 80, limits: {}}]}", "spec.clients.ports[1].port: 80 is that of ports[0]; remove one")
	wrong("{ports: [{port: 0, limits: {}}]}", "spec.clients.ports[0].port: 0 is not between 1 and 65535; mend it")
}
