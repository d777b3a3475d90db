package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
)

// routeManifest is a route of its own for one path prefix.
func routeManifest(name, hostname, prefix string) string {
	return matchManifest(name, hostname, fmt.Sprintf("path: {type: PathPrefix, value: %s}", prefix))
}

func matchManifest(name, hostname, match string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: bench}
spec:
  parentRefs: [{name: web}]
  hostnames: [%s]
  rules:
  - matches: [{%s}]
    backendRefs: [{name: api, port: 8080}]
`, name, hostname, match)
}

// manyRoutes is n routes in files of a hundred, ten routes to a host.
func manyRoutes(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("routes-%03d.yaml", i/100)
		files[name] += "---\n" + routeManifest(fmt.Sprintf("old-%d", i), fmt.Sprintf("host-%d.example.com", i/10), fmt.Sprintf("/old/%d", i))
	}
	return files
}

// tenThousandRoutes are on 2,000 hostnames, 50 of them on the measured one. One in
// ten matches a regular expression, and one in ten a header.
func tenThousandRoutes() (map[string]string, error) {
	files := map[string]string{}
	for i := range 10000 {
		hostname := fmt.Sprintf("host-%d.example.com", i/5)
		if i >= 4950 && i < 5000 {
			hostname = peer.Host
		}
		match := fmt.Sprintf("path: {type: PathPrefix, value: /path-%d-api}", i)
		switch i % 10 {
		case 3:
			match = fmt.Sprintf(`path: {type: RegularExpression, value: "/path-%d/[a-z]+/[0-9]+"}`, i)
		case 6:
			match += fmt.Sprintf(", headers: [{name: x-tenant, value: tenant-%d}]", i)
		}
		file := fmt.Sprintf("routes-%03d.yaml", i/100)
		files[file] += "---\n" + matchManifest(fmt.Sprintf("route-%d", i), hostname, match)
	}
	return files, nil
}

const (
	apiKey = "bench-key-0123456789abcdef"
	issuer = "https://issuer.example"
)

// asked are the contenders of guarded that a policy judges.
var asked = []string{"API key", "JWT, cached", "CEL rule"}

// guarded are contenders whose routes ask for credentials, beside requests that carry
// the same where nobody asks. The policies are in force for all, so that only what
// the measured route asks for differs.
func guarded() []entry {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	manifests := func() (map[string]string, error) {
		if err != nil {
			return nil, err
		}
		return policies(key)
	}
	token := func() []string {
		text, err := signed(key)
		if err != nil {
			return nil // the check will say 401
		}
		return []string{"Authorization: Bearer " + text}
	}
	header := func() []string { return []string{"X-API-Key: " + apiKey} }
	return []entry{
		{name: gatehouse, peer: gatehouse, manifests: manifests},
		{name: "a key that nobody asks for", peer: gatehouse, manifests: manifests, headers: header},
		{name: asked[0], peer: gatehouse, manifests: manifests, path: "/api-key", headers: header},
		{name: "a JWT that nobody asks for", peer: gatehouse, manifests: manifests, headers: token},
		{name: asked[1], peer: gatehouse, manifests: manifests, path: "/api-jwt", headers: token},
		{name: asked[2], peer: gatehouse, manifests: manifests, path: "/api-cel", headers: func() []string { return []string{"X-Team: garden"} }},
	}
}

// signed is a token that the policies accept.
func signed(key *ecdsa.PrivateKey) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "bench"}}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Subject: "bench", Audience: jwt.Audience{"bench"}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Claims(map[string]any{"scope": "orders.read orders.write"}).Serialize()
}

// claiming are contenders for a route that asks for a token and one of its claims:
// Gatehouse and Envoy judge both themselves, Caddy asks a service that says yes.
func claiming() []entry {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	token := func() []string {
		text, err := signed(key)
		if err != nil {
			return nil // the check will say 401
		}
		return []string{"Authorization: Bearer " + text}
	}
	set := func() (string, error) {
		if err != nil {
			return "", err
		}
		return keySet(key)
	}
	manifests := func() (map[string]string, error) {
		if err != nil {
			return nil, err
		}
		return policies(key)
	}
	return []entry{
		{name: gatehouse, peer: gatehouse, manifests: manifests, path: "/api-claims", headers: token},
		{name: envoy, peer: envoy, keySet: set, path: "/api-claims", headers: token},
		{name: "caddy, asking", peer: caddy, path: "/api-claims", headers: token},
	}
}

func keySet(key *ecdsa.PrivateKey) (string, error) {
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "bench", Algorithm: "ES256", Use: "sig"}}})
	return string(set), err
}

// policies are the guarded routes, each with its AuthPolicy.
func policies(key *ecdsa.PrivateKey) (map[string]string, error) {
	set, err := keySet(key)
	if err != nil {
		return nil, err
	}
	text := ""
	for name, rules := range map[string]string{
		"key": "{authentication: {key: {apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: bench}}}}}}",
		"jwt": fmt.Sprintf("{authentication: {token: {jwt: {issuer: %q, audiences: [bench], jwks: {inline: %s}}}}}", issuer, set),
		"claims": fmt.Sprintf("{authentication: {token: {jwt: {issuer: %q, audiences: [bench], jwks: {inline: %s}}}}, authorization: {readers: {cel: %q}}}",
			issuer, set, "'orders.read' in auth.claims.scope.split(' ')"),
		"cel": `{authorization: {team: {cel: "request.headers['x-team'] == 'garden' && request.method == 'GET'"}}}`,
	} {
		text += "---\n" + routeManifest("guarded-"+name, peer.Host, "/api-"+name) + fmt.Sprintf(`---
apiVersion: gatehouse.dev/v1alpha1
kind: AuthPolicy
metadata: {name: %[1]s, namespace: bench}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: guarded-%[1]s}]
  rules: %[2]s
`, name, rules)
	}
	text += fmt.Sprintf(`---
apiVersion: v1
kind: Secret
metadata:
  name: key-bench
  namespace: bench
  labels: {gatehouse.dev/api-key: bench}
  annotations: {gatehouse.dev/subject: bench}
stringData:
  keyHash: sha256:%x
`, sha256.Sum256([]byte(apiKey)))
	return map[string]string{"policies.yaml": text}, nil
}
