//go:build envtest

package envtest

import (
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// What the gateway says of itself to backends.
func TestBackendCredentialSchema(t *testing.T) {
	credential := func(c string) string { return auth("{response: {credentials: {mine: " + c + "}}}") }
	minted := func(more string) string {
		return credential("{jwt: {issuer: 'https://gateway.example', audiences: [orders]" + more + "}}")
	}
	got := func(kind, more string) string {
		return credential("{" + kind + ": {tokenURL: 'https://issuer.example/token', clientID: shop, clientSecretRef: {name: client}" + more + "}}")
	}
	const one, taken = "set exactly one of static, jwt, clientCredentials and tokenExchange", "the gateway itself sets this claim"
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"a value of a Secret", credential("{header: X-Key, static: {secretRef: {name: backend, key: token}}}"), ""},
		{"a value with a scheme, at times", credential("{when: [auth.method == 'staff'], scheme: Key, static: {secretRef: {name: backend, namespace: keys, key: token}}}"), ""},
		{"a token of the gateway's own", minted(", ttl: 1m, subject: auth.subject, claims: {roles: auth.claims.roles}"), ""},
		{"a token of the shortest life", minted(", ttl: 10s"), ""},
		{"a token for the gateway", got("clientCredentials", ", clientAuthentication: Post, scopes: [a, 'b:c'], audiences: [orders], resources: ['https://r.example'], timeout: 1s"), ""},
		{"a token for the caller's", got("tokenExchange", ", subjectTokenType: 'urn:ietf:params:oauth:token-type:jwt', requestedTokenType: 'urn:ietf:params:oauth:token-type:jwt'"), ""},

		{"nothing to say", credential("{header: X-Key}"), one},
		{"two things to say", credential("{static: {secretRef: {name: a, key: b}}, jwt: {issuer: a, audiences: [b]}}"), one},
		{"nothing at all", auth("{response: {credentials: {}}}"), "should have at least 1 properties"},
		{"a name with a space", auth("{response: {credentials: {'a b': {static: {secretRef: {name: a, key: b}}}}}}"), "a name must start with a letter"},
		{"the caller's cookies", credential("{header: Cookie, static: {secretRef: {name: a, key: b}}}"), "the gateway itself sets this header"},
		{"a header of the connection", credential("{header: Transfer-Encoding, static: {secretRef: {name: a, key: b}}}"), "the gateway itself sets this header"},
		{"a scheme of two words", credential("{scheme: 'a b', static: {secretRef: {name: a, key: b}}}"), "spec.rules.response.credentials.mine.scheme"},
		{"a Secret without a key", credential("{static: {secretRef: {name: a}}}"), "secretRef.key"},
		{"a key that is none", credential("{static: {secretRef: {name: a, key: b/c}}}"), "secretRef.key"},
		{"a namespace that is none", credential("{static: {secretRef: {name: a, namespace: b.c, key: d}}}"), "secretRef.namespace"},
		{"a token for nobody", credential("{jwt: {issuer: a, audiences: []}}"), "should have at least 1 items"},
		{"a token of nobody", credential("{jwt: {audiences: [a]}}"), "jwt.issuer"},
		{"a token for a moment", minted(", ttl: 9s"), "ttl is 10s to 1h"},
		{"a token for a day", minted(", ttl: 24h"), "ttl is 10s to 1h"},
		{"a claim of the gateway's", minted(", claims: {exp: '0'}"), taken},
		{"the issuer as a claim", minted(", claims: {iss: \"'me'\"}"), taken},
		{"a claim without a name", minted(", claims: {'': a}"), "a claim's name has 1 to 128 characters"},
		{"a token from a file", credential("{clientCredentials: {tokenURL: 'file:///a', clientID: a, clientSecretRef: {name: b}}}"), "not an absolute http or https URL"},
		{"a token for no client", credential("{clientCredentials: {tokenURL: 'https://a', clientSecretRef: {name: b}}}"), "clientID"},
		{"a token without a secret", credential("{tokenExchange: {tokenURL: 'https://a', clientID: a}}"), "clientSecretRef"},
		{"a client that proves itself in another way", got("clientCredentials", ", clientAuthentication: None"), `supported values: "Basic", "Post"`},
		{"a scope of two", got("clientCredentials", ", scopes: ['a b']"), "clientCredentials.scopes[0]"},
		{"a type with a space", got("tokenExchange", ", subjectTokenType: 'a b'"), "tokenExchange.subjectTokenType"},
		{"an exchange of the gateway's own", got("clientCredentials", ", subjectTokenType: a"), "unknown field"},
	})
}

// Methods and rules whose keys, tokens or policies come from somewhere.
func TestMethodSchema(t *testing.T) {
	signed := func(more string) string { return method("{hmac: {selector: {matchLabels: {a: b}}" + more + "}}") }
	shared := func(more string) string {
		return method("{jwt: {issuer: me, audiences: [a], secretRef: {name: s}" + more + "}}")
	}
	const alone, component = "go with secretRef and no other source of keys", "a component is @method"
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"hmac", signed(""), ""},
		{"hmac with everything", signed(", namespace: keys, components: ['@method', '@authority', '@scheme', '@target-uri', '@request-target', '@path', '@query', date, x-id], maxAge: 1h, maxBodyBytes: 0"), ""},
		{"hmac by an expression", method("{hmac: {selector: {matchExpressions: [{key: a, operator: Exists}]}}}"), ""},
		{"hmac without keys", method("{hmac: {}}"), "hmac.selector"},
		{"hmac over nothing", signed(", components: []"), "should have at least 1 items"},
		{"hmac over a field in capitals", signed(", components: [Date]"), component},
		{"hmac over a parameter", signed(", components: ['@query-param']"), component},
		{"hmac over a field twice", signed(", components: [date, date]"), "Duplicate value"},
		{"hmac for no time", signed(", maxAge: 500ms"), "maxAge is 1s to 1h"},
		{"hmac of large content", signed(", maxBodyBytes: 16777217"), "should be less than or equal to 16777216"},
		{"hmac of less than no content", signed(", maxBodyBytes: -1"), "should be greater than or equal to 0"},
		{"hmac in another namespace that is none", signed(", namespace: Keys"), "hmac.namespace"},

		{"a shared secret", shared(", algorithms: [HS256, HS384, HS512]"), ""},
		{"a shared secret of another namespace", strings.ReplaceAll(shared(", algorithms: [HS256]"), "name: s", "name: s, namespace: keys"), ""},
		{"a shared secret and public keys", shared(", algorithms: [HS256, ES256]"), alone},
		{"a shared secret for no algorithm", shared(", algorithms: []"), alone},
		{"a shared secret and a key set", shared(", algorithms: [HS256], jwks: {configMapRef: {name: a, key: b}}"), alone},
		{"a shared secret's algorithm by discovery", method("{jwt: {issuer: 'https://a.example', audiences: [a], algorithms: [RS256, HS512]}}"), alone},
		{"a shared secret without a name", method("{jwt: {issuer: me, audiences: [a], algorithms: [HS256], secretRef: {}}}"), "jwt.secretRef.name"},
		{"an algorithm that is none", shared(", algorithms: [none]"), "Unsupported value"},

		{"a client of another namespace", method("{introspection: {url: 'https://a', audiences: [shop], clientSecretRef: {name: client, namespace: keys}}}"), ""},
		{"a client without a name", method("{introspection: {url: 'https://a', audiences: [shop], clientSecretRef: {namespace: keys}}}"), "clientSecretRef.name"},
		{"an answer for anybody and somebody", method("{introspection: {url: 'https://a', audiences: [shop], audienceCheck: None, clientSecretRef: {name: client}}}"), "list the accepted audiences"},
		{"an answer kept for no time", method("{introspection: {url: 'https://a', audiences: [shop], clientSecretRef: {name: client}, cache: {ttl: 500ms}}}"), "ttl is 1s to 1h"},
		{"a question in another way", method("{introspection: {url: 'https://a', audiences: [shop], clientSecretRef: {name: client}, clientAuthentication: JWT}}"), `supported values: "Basic", "Post"`},
		{"API keys of another namespace", method("{apiKey: {selector: {matchLabels: {a: b}}, namespace: keys}}"), ""},
		{"users of another namespace", method("{basic: {secretRef: {name: users, namespace: keys}}}"), ""},

		{"Rego in a ConfigMap", rule("{opa: {configMapRef: {name: a, key: allow.rego}}}"), ""},
		{"Rego of nothing", rule("{opa: {policy: ''}}"), "opa.policy"},
		{"Rego without a key", rule("{opa: {configMapRef: {name: a}}}"), "configMapRef.key"},
		{"Rego with data of nowhere", rule("{opa: {policy: 'package a', dataRef: {}}}"), "dataRef"},
		{"a question of two", rule("{opa: {policy: 'package a', query: 'data.a; data.b'}}"), "opa.query"},

		{"rights to a path", rule("{kubernetes: {nonResourceAttributes: {path: {cel: request.path}, verb: {value: get}}}}"), ""},
		{"rights behind a long prefix", rule("{kubernetes: {prefix: " + strings.Repeat("a", 129) + "}}"), "kubernetes.prefix"},
		{"rights to a resource with everything", rule("{kubernetes: {resourceAttributes: {group: {value: shop.example}, version: {value: v1}, resource: {value: orders}, subresource: {value: items}, namespace: {value: shop}, name: {cel: request.path}, verb: {value: get}}}}"), ""},
		{"tokens for nobody", method("{kubernetes: {audiences: ['']}}"), "kubernetes.audiences[0]"},
		{"tokens for one twice", method("{kubernetes: {audiences: [a, a]}}"), "Duplicate value"},
		{"tokens from two places at once", method("{kubernetes: {from: [{header: a, query: b}]}}"), "set exactly one of header, cookie and query"},
	})
}
