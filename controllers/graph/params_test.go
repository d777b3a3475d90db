package graph

import (
	"strings"
	"testing"
)

// service is the Service of Gateway web/gw, with target ports for 80 and 81.
const service = `
kind: Service
metadata: {name: gw-gatehouse, namespace: web, labels: {app.kubernetes.io/managed-by: gatehouse}, ownerReferences: [{kind: Gateway, name: gw, uid: "", apiVersion: v1}]}
spec:
  type: LoadBalancer
  ports: [{port: 80, targetPort: 20080}, {port: 81, targetPort: 20081}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}
---
`

func parameters(namespace, name, service string) string {
	return "kind: GatewayParameters\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: {service: {" + service + "}}\n---\n"
}

// TestParameters: what is wrong with parameters is said where they are named, and
// what was set up before goes on serving.
func TestParameters(t *testing.T) {
	http := "listeners: [{name: a, port: 80, protocol: HTTP}]"
	own := func(name string) string {
		return class + gatewayYAML("infrastructure: {parametersRef: {group: gatehouse.dev, kind: GatewayParameters, name: "+name+"}}, "+http)
	}
	ofClass := func(ref string) string {
		return strings.Replace(class, "gatehouse.dev/gateway}", "gatehouse.dev/gateway, parametersRef: {group: gatehouse.dev, kind: GatewayParameters, "+ref+"}}", 1) + gatewayYAML(http)
	}
	f := func(name, cluster string, want ...string) {
		t.Helper()
		g := NewBuilder(Config{Controller: controller, Services: true}).Build(load(t, cluster))
		rest := text(g)
		for _, w := range want {
			at := strings.Index(rest, w)
			if at < 0 {
				t.Errorf("%s: no %q in order in\n%s", name, w, text(g))
				return
			}
			rest = rest[at+len(w):]
		}
		broken := strings.Contains(text(g), "InvalidParameters")
		if gw := g.Gateways[0]; (gw.Service.Parameters == nil) != broken {
			t.Errorf("%s: parameters %v", name, gw.Service.Parameters)
		}
		if gw := g.Gateways[0]; strings.Contains(text(g), "serves=true") != (len(gw.Addresses) > 0) {
			t.Errorf("%s: addresses %v", name, gw.Addresses)
		}
	}
	f("a Gateway's", own("p")+parameters("web", "p", "type: NodePort")+service, "gateway web/gw Accepted=True/Accepted Programmed=True/Programmed", "serves=true")
	f("a class's", ofClass("name: p, namespace: infra")+parameters("infra", "p", "type: NodePort")+service,
		"class gatehouse Accepted=True", "gateway web/gw Accepted=True/Accepted", "serves=true")
	f("a Gateway's missing", own("p"), "Accepted=False/InvalidParameters Programmed=False/Invalid",
		"spec.infrastructure.parametersRef.name: GatewayParameters web/p does not exist; create it, or name another\n", "serves=false")
	f("a Gateway's went missing", own("p")+service, "Accepted=False/InvalidParameters Programmed=False/Invalid",
		"does not exist; create it, or name another; what was set up before goes on serving\n", "serves=true")
	f("in another namespace", own("p")+parameters("infra", "p", ""), "Accepted=False/InvalidParameters")
	f("a class's went missing", ofClass("name: p, namespace: infra")+service, "class gatehouse Accepted=False/InvalidParameters",
		"spec.parametersRef.name: GatewayParameters infra/p does not exist", "gateway web/gw Accepted=Unknown/Pending Programmed=Unknown/Pending",
		"what was set up before goes on serving", "serves=true")
	f("a class's without namespace", ofClass("name: p"), "Accepted=False/InvalidParameters", "spec.parametersRef.namespace: is missing; give the namespace of GatewayParameters p")
	f("bad ones", own("p")+parameters("web", "p", "type: ClusterIP, externalTrafficPolicy: Local"), "Accepted=False/InvalidParameters",
		"spec.infrastructure.parametersRef: GatewayParameters web/p: spec.service.externalTrafficPolicy: does not go with type ClusterIP; remove it, or set another type beside it")
	f("with a ListenerSet", strings.Replace(own("p"), "listeners:", "allowedListeners: {namespaces: {from: All}}, listeners:", 1)+service+
		"kind: ListenerSet\nmetadata: {name: set, namespace: web}\nspec: {parentRef: {name: gw}, listeners: [{name: b, port: 81, protocol: HTTP}]}\n",
		"listener a :80 serves=true", "listener b :81 serves=true", "set web/set listeners=1 Accepted=False/ParentNotAccepted")
}
