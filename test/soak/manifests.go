package main

import (
	"fmt"
	"strings"
)

const gatewayManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: soak}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gatehouse}
spec: {controllerName: gatehouse.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: soak}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: http, protocol: HTTP, port: %d}
  - {name: https, protocol: HTTPS, port: %d, tls: {certificateRefs: [{name: soak}], options: {gatehouse.dev/http3: Enabled}}}
  - {name: tcp, protocol: TCP, port: %d}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: relay, namespace: soak}
spec:
  parentRefs: [{name: web, sectionName: tcp}]
  rules: [{backendRefs: [{name: tcp, port: 8080}]}]
`

const certificateManifest = `
apiVersion: v1
kind: Secret
metadata: {name: soak, namespace: soak}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`

const routeManifest = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: soak}
spec:
  parentRefs: [{name: web, sectionName: http}, {name: web, sectionName: https}]
  rules:
  - matches: [{path: {type: PathPrefix, value: %s}}]
    backendRefs: [{name: %s, port: 8080}]
`

const policyManifest = `---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: %[1]s, namespace: soak}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: %[1]s}]
  rules: {authentication: {caller: %[2]s}}
`

const keyManifest = `---
apiVersion: v1
kind: Secret
metadata:
  name: key
  namespace: soak
  labels: {gatehouse.dev/api-key: soak}
  annotations: {gatehouse.dev/subject: soak}
stringData: {keyHash: "sha256:%s"}
`

const serviceManifest = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: soak}
spec: {ports: [{name: port, port: 8080%s}]}
`

// One slice for each port, since the backends of a Service have different ones here.
const sliceManifest = `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: %[1]s-%[2]s
  namespace: soak
  labels: {kubernetes.io/service-name: %[1]s}
addressType: IPv4
ports: [{name: port, port: %[3]d, protocol: TCP}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
`

func route(name, prefix, service string) string {
	return fmt.Sprintf(routeManifest, name, prefix, service)
}

func service(name, protocol string) string { return fmt.Sprintf(serviceManifest, name, protocol) }

func (s *site) slice(service string, backends ...string) string {
	var out strings.Builder
	for _, b := range backends {
		fmt.Fprintf(&out, sliceManifest, service, b, s.backends[b].port)
	}
	return out.String()
}

func (s *site) gateway() string {
	return fmt.Sprintf(gatewayManifest, s.ports.http, s.ports.https, s.ports.tcp) +
		route("pool", "/pool", "pool") + route("grpc", "/grpc", "grpc") + route("ws", "/ws", "a")
}

func (s *site) policies(keySet string) string {
	return route("jwt", "/jwt", "a") + route("key", "/key", "a") +
		fmt.Sprintf(policyManifest, "jwt", fmt.Sprintf("{jwt: {issuer: %q, audiences: [soak], jwks: {inline: %s}}}", issuer, keySet)) +
		fmt.Sprintf(policyManifest, "key", "{apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: soak}}}}") +
		fmt.Sprintf(keyManifest, hashed(s.apiKey))
}
