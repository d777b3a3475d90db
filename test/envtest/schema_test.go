//go:build envtest

package envtest

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

const route = "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]\n"

// schemaCase is the spec of a policy, and the message it is refused with; no message: it is accepted.
type schemaCase struct{ name, spec, refused string }

// auth wraps rules in an AuthPolicy's spec, method one authentication method, rule one authorization rule.
func auth(rules string) string      { return route + "rules: " + rules }
func method(m string) string        { return auth("{authentication: {staff: " + m + "}}") }
func rule(r string) string          { return auth("{authorization: {office: " + r + "}}") }
func check(c string) string         { return route + "rules: {checks: {body: " + c + "}}" }
func repeat(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

func TestAuthPolicySchema(t *testing.T) {
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"jwt by discovery", method("{jwt: {issuer: 'https://issuer.example', audiences: [orders]}}"), ""},
		{"jwt with everything", method(`{when: ["true"], jwt: {issuer: me, audienceCheck: None, jwks: {uri: 'https://issuer.example/keys'}, algorithms: [ES256], leeway: 1m,
			from: [{header: Authorization, scheme: Bearer}, {cookie: session}, {query: access_token}]}}`), ""},
		{"jwt with keys written out", method("{jwt: {issuer: me, audiences: [a], jwks: {inline: {keys: []}}}}"), ""},
		{"jwt with keys in a ConfigMap", method("{jwt: {issuer: me, audiences: [a], jwks: {configMapRef: {name: keys, key: jwks.json}}}}"), ""},
		{"api key", method("{apiKey: {selector: {matchLabels: {gatehouse.dev/api-key: orders}}, from: [{header: X-API-Key}]}}"), ""},
		{"basic", method("{basic: {secretRef: {name: users}, realm: Back office}}"), ""},
		{"anonymous", method("{anonymous: {}}"), ""},
		{"overrides", route + "overrides: {strategy: Merge, rules: {authorization: {office: {cidrs: {allow: [192.0.2.0/24, '2001:db8::/32']}}}}}", ""},
		{"everything else", auth(`{when: ["!request.path.startsWith('/healthz')"], authentication: {a: {anonymous: {}}, b: {anonymous: {}}}, require: "a && !(b)",
			response: {headers: {x-user: {cel: auth.subject}, x-tier: {value: gold}}, unauthenticated: {status: 401, body: who are you}, denied: {status: 404}}, forwardCredentials: true}`), ""},

		{"asked over gRPC", rule("{externalAuth: {backendRef: {name: authz, port: 9000}, grpc: {context: {a: b}}, timeout: 300ms, cache: {headers: [Authorization], ttl: 10s}}}"), ""},
		{"asked over HTTP", rule("{externalAuth: {url: 'https://authz.example/check', http: {path: /a, toBackend: [X-User]}, forwardBody: {maxSize: 10, allowPartial: true}, statusOnError: 403}}"), ""},

		{"no section", route, "set one of rules, defaults and overrides, or requireAuth"},
		{"two sections", auth("{authentication: {a: {anonymous: {}}}}") + "\ndefaults: {rules: {authentication: {a: {anonymous: {}}}}}", "set only one of rules, defaults and overrides"},
		{"no target", "targetRefs: []\nrules: {authentication: {a: {anonymous: {}}}}", "should have at least 1 item"},
		{"too many targets", "targetRefs: [" + repeat("{group: gateway.networking.k8s.io, kind: Gateway, name: a}", 17) + "]\nrules: {authentication: {a: {anonymous: {}}}}", "must have at most 16 items"},
		{"a Service as target", "targetRefs: [{group: '', kind: Service, name: orders}]\nrules: {authentication: {a: {anonymous: {}}}}", "a target must be a Gateway, ListenerSet, HTTPRoute or GRPCRoute"},
		{"a target twice", "targetRefs: [" + repeat("{group: gateway.networking.k8s.io, kind: Gateway, name: a, sectionName: web}", 2) + "]\nrules: {authentication: {a: {anonymous: {}}}}", "the same target is named twice"},
		{"a mode of its own", "mode: Off\n" + method("{anonymous: {}}"), `supported values: "Enforce", "Shadow"`},
		{"empty rules", auth("{}"), "the rules are empty"},
		{"bad method name", auth("{authentication: {'a b': {anonymous: {}}}}"), "a name must start with a letter"},
		{"require with an operator of another kind", auth("{authentication: {a: {anonymous: {}}}, require: 'a + b'}"), "spec.rules.require"},
		{"no method", method("{}"), "set exactly one of jwt, apiKey, basic, clientCertificate, oidc, introspection, kubernetes, hmac and anonymous"},
		{"hmac of nothing", method("{hmac: {selector: {}}}"), "an empty selector would take every Secret"},
		{"hmac over a long time", method("{hmac: {selector: {matchLabels: {a: b}}, maxAge: 2h}}"), "maxAge is 1s to 1h"},
		{"hmac over an answer", method("{hmac: {selector: {matchLabels: {a: b}}, components: ['@status']}}"), "a component is @method"},
		{"two methods", method("{anonymous: {}, basic: {secretRef: {name: users}}}"), "set exactly one of jwt, apiKey, basic, clientCertificate, oidc, introspection, kubernetes, hmac and anonymous"},
		{"jwt for nobody", method("{jwt: {issuer: 'https://issuer.example'}}"), "list the accepted audiences, or write audienceCheck: None"},
		{"jwt for nobody and somebody", method("{jwt: {issuer: 'https://issuer.example', audiences: [a], audienceCheck: None}}"), "list the accepted audiences, or write audienceCheck: None"},
		{"discovery without a URL", method("{jwt: {issuer: me, audiences: [a]}}"), "keys are discovered from issuer, which must then be an https URL"},
		{"two key sets", method("{jwt: {issuer: me, audiences: [a], jwks: {uri: 'https://a.example/k', inline: {keys: []}}}}"), "set exactly one of uri, backendRef, inline and configMapRef"},
		{"a secret without its algorithms", method("{jwt: {issuer: me, audiences: [a], secretRef: {name: s}}}"), "go with secretRef"},
		{"a secret beside keys", method("{jwt: {issuer: me, audiences: [a], algorithms: [HS256], secretRef: {name: s}, jwks: {uri: 'https://a.example/k'}}}"), "go with secretRef"},
		{"key set without a scheme", method("{jwt: {issuer: me, audiences: [a], jwks: {uri: /keys}}}"), "not an absolute http or https URL"},
		{"signature by shared secret", method("{jwt: {issuer: me, audiences: [a], jwks: {inline: {}}, algorithms: [HS256]}}"), "go with secretRef"},
		{"leeway without end", method("{jwt: {issuer: me, audiences: [a], jwks: {inline: {}}, leeway: 1h}}"), "leeway is at most 5m"},
		{"credential from two places", method("{apiKey: {selector: {matchLabels: {a: b}}, from: [{header: a, cookie: b}]}}"), "set exactly one of header, cookie and query"},
		{"scheme without a header", method("{apiKey: {selector: {matchLabels: {a: b}}, from: [{query: a, scheme: Bearer}]}}"), "scheme goes with header only"},
		{"a selector of everything", method("{apiKey: {selector: {}}}"), "an empty selector would take every Secret"},
		{"a realm that ends its quotes", method(`{basic: {secretRef: {name: users}, realm: 'a"b'}}`), "spec.rules.authentication.staff.basic.realm"},
		{"any certificate", method("{clientCertificate: {}}"), ""},
		{"certificates", method("{clientCertificate: {match: [{san: {type: DNS, value: '*.shop.example'}}, {san: {type: URI, value: 'spiffe://shop.example/*'}, commonName: a}, {subject: 'CN=a,O=b'}]}}"), ""},
		{"a certificate of no description", method("{clientCertificate: {match: [{}]}}"), "set at least one of san, subject, commonName and spkiSHA256"},
		{"a certificate of every name", method("{clientCertificate: {match: [{san: {type: DNS, value: '*'}}]}}"), "a * stands for the first label of a DNS name"},
		{"a certificate of every trust domain", method("{clientCertificate: {match: [{san: {type: URI, value: 'spiffe://*'}}]}}"), "or for the rest of a URI's path"},
		{"a certificate of a torn pin", method("{clientCertificate: {match: [{spkiSHA256: abcd}]}}"), "spkiSHA256"},
		{"no rule", rule("{}"), "set exactly one of cel, cidrs, claims, kubernetes, opa and externalAuth"},
		{"two rules", rule("{cel: 'true', cidrs: {deny: [192.0.2.0/24]}}"), "set exactly one of cel, cidrs, claims, kubernetes, opa and externalAuth"},
		{"no network", rule("{cidrs: {allow: []}}"), "name at least one network in allow or deny"},
		{"an address for a network", rule("{cidrs: {allow: [192.0.2.7]}}"), "write 192.0.2.0/24, or 192.0.2.7/32 for one address"},
		{"nobody to ask", rule("{externalAuth: {http: {}}}"), "set exactly one of backendRef and url"},
		{"a policy in Rego", rule("{opa: {policy: 'package a', query: data.a.allow, dataRef: {name: a, key: b}}}"), ""},
		{"no policy in Rego", rule("{opa: {}}"), "set exactly one of policy and configMapRef"},
		{"two policies in Rego", rule("{opa: {policy: a, configMapRef: {name: a, key: b}}}"), "set exactly one of policy and configMapRef"},
		{"a query for something else", rule("{opa: {policy: a, query: input.allow}}"), "query"},
		{"rights by path", rule("{kubernetes: {}}"), ""},
		{"rights by resource", rule("{kubernetes: {prefix: 'oidc:', resourceAttributes: {resource: {value: orders}, name: {cel: request.path}}}}"), ""},
		{"rights to two", rule("{kubernetes: {resourceAttributes: {resource: {value: orders}}, nonResourceAttributes: {}}}"), "set at most one of resourceAttributes and nonResourceAttributes"},
		{"rights to nothing", rule("{kubernetes: {resourceAttributes: {verb: {value: get}}}}"), "resource"},
		{"a text that is nothing", rule("{kubernetes: {resourceAttributes: {resource: {}}}}"), "set exactly one of cel and value"},
		{"a text that is two", rule("{kubernetes: {nonResourceAttributes: {path: {cel: request.path, value: /a}}}}"), "set exactly one of cel and value"},
		{"tokens of the cluster", method("{kubernetes: {}}"), ""},
		{"tokens of the cluster, for one", method("{kubernetes: {audiences: [orders], from: [{header: X-Token}]}}"), ""},
		{"two to ask", rule("{externalAuth: {url: 'http://a', backendRef: {name: a, port: 80}, http: {}}}"), "set exactly one of backendRef and url"},
		{"asked in no way", rule("{externalAuth: {url: 'http://a'}}"), "set exactly one of grpc and http"},
		{"asked at a file", rule("{externalAuth: {url: 'file:///a', grpc: {}}}"), "not an absolute http or https URL"},
		{"content that is kept", rule("{externalAuth: {url: 'http://a', grpc: {}, forwardBody: {maxSize: 1}, cache: {headers: [a], ttl: 1s}}}"), "remove cache or forwardBody"},
		{"kept for nothing", rule("{externalAuth: {url: 'http://a', grpc: {}, cache: {ttl: 1s}}}"), "set exactly one of key and headers"},
		{"too much content", rule("{externalAuth: {url: 'http://a', grpc: {}, forwardBody: {maxSize: 2000000}}}"), "should be less than or equal to 1048576"},
		{"header of the gateway's own", auth("{response: {headers: {Transfer-Encoding: {value: chunked}}}}"), "choose another name"},
		{"header name with a space", auth("{response: {headers: {'a b': {value: c}}}}"), "a header name has 1 to 64 letters"},
		{"header value of two lines", auth(`{response: {headers: {a: {value: "b\r\nc: d"}}}}`), "spec.rules.response.headers.a.value"},
		{"header without a value", auth("{response: {headers: {a: {}}}}"), "set exactly one of cel and value"},
		{"refusal that succeeds", auth("{response: {denied: {status: 200}}}"), "should be greater than or equal to 400"},
	})
}

func TestOIDCSchema(t *testing.T) {
	login := func(more string) string {
		return method("{oidc: {issuer: 'https://login.example', clientID: shop, clientSecretRef: {name: client}" + more + "}}")
	}
	const differ, path = "redirectPath, logoutPath and backchannelLogoutPath must differ", "redirectPath"
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"a login", login(""), ""},
		{"a login with everything", login(`, scopes: [openid, email], audiences: [billing], authorizationParameters: {prompt: login, acr_values: high}, redirectPath: /app/back,
			logoutPath: /logout, postLogoutRedirect: /bye, endSession: false, backchannelLogoutPath: /oauth2/backchannel, forwardAccessToken: {header: X-Token},
			session: {absoluteTimeout: 8h, idleTimeout: 30m, cookieName: shop, store: {redis: {secretRef: {name: sessions}}}}`), ""},
		{"a logout to another site", login(", logoutPath: /logout, postLogoutRedirect: 'https://shop.example/bye'"), ""},
		{"an issuer that is no URL", method("{oidc: {issuer: me, clientID: shop, clientSecretRef: {name: client}}}"), "not an absolute http or https URL"},
		{"one path for two", login(", logoutPath: /oauth2/callback"), differ},
		{"one path for two others", login(", logoutPath: /a, backchannelLogoutPath: /a"), differ},
		{"a path with a query", login(", redirectPath: '/a?b'"), path},
		{"a path that climbs", login(", redirectPath: /a/../b"), "the path has . or .. in it"},
		{"a path that is none", login(", redirectPath: 'https://a/b'"), path},
		{"a logout to a host without a scheme", login(", logoutPath: /logout, postLogoutRedirect: //evil.example"), "not an absolute http or https URL, nor a path"},
		{"a goodbye without a logout", login(", postLogoutRedirect: /bye"), "postLogoutRedirect goes with logoutPath"},
		{"a parameter of the login's own", login(", authorizationParameters: {state: x}"), "the login itself sets this parameter"},
		{"a parameter with a bad name", login(", authorizationParameters: {'a b': x}"), "a parameter has a name"},
		{"a session without end", login(", session: {absoluteTimeout: 1000h}"), "absoluteTimeout is 1s to 720h"},
		{"a session without time", login(", session: {idleTimeout: 0s}"), "idleTimeout is 1s to 720h"},
		{"a cookie with the prefix", login(", session: {cookieName: __Host-a}"), "the prefix __Host- is set where it can be"},
		{"a cookie with a bad name", login(", session: {cookieName: 'a;b'}"), "cookieName"},
		{"a token in the connection's header", login(", forwardAccessToken: {header: Connection}"), "the gateway itself sets this header"},
	})
}

func TestIntrospectionSchema(t *testing.T) {
	asked := func(more string) string {
		return method("{introspection: {clientSecretRef: {name: client}, " + more + "}}")
	}
	const none = "the endpoint is discovered from issuer"
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"discovered", asked("issuer: 'https://issuer.example', audiences: [shop]"), ""},
		{"at a URL", asked("issuer: me, url: 'https://issuer.example/introspect', audienceCheck: None, tokenTypes: [Bearer], timeout: 500ms, clientAuthentication: Post, cache: {ttl: 10s, onError: 0s}, from: [{cookie: token}]"), ""},
		{"at a Service", asked("backendRef: {name: idp, port: 80}, path: /oauth2/introspect, audiences: [shop]"), ""},
		{"nobody to ask", asked("audiences: [shop]"), none},
		{"an issuer that is no URL", asked("issuer: me, audiences: [shop]"), none},
		{"two to ask", asked("url: 'https://a', backendRef: {name: idp, port: 80}, audiences: [shop]"), "set at most one of backendRef and url"},
		{"a path of its own", asked("url: 'https://a', path: /b, audiences: [shop]"), "path goes with backendRef"},
		{"no audiences", asked("url: 'https://a'"), "list the accepted audiences"},
		{"no client", method("{introspection: {url: 'https://a', audiences: [shop]}}"), "clientSecretRef"},
		{"asked at a file", asked("url: 'file:///a', audiences: [shop]"), "not an absolute http or https URL"},
		{"kept for ever", asked("url: 'https://a', audiences: [shop], cache: {ttl: 2h}"), "ttl is 1s to 1h"},
		{"spared for ever", asked("url: 'https://a', audiences: [shop], cache: {onError: 2h}"), "onError is at most 1h"},
	})
}

func TestMetadataSchema(t *testing.T) {
	step := func(more string) string { return route + "rules: {metadata: {account: {" + more + "}}}" }
	const neither = "set exactly one of http and userInfo"
	testSchema(t, v1alpha1.KindAuthPolicy, []schemaCase{
		{"at a Service", step("when: ['true'], http: {backendRef: {name: accounts, port: 80}, path: \"['a', auth.subject]\", query: {q: auth.subject}, headers: {X-A: {cel: auth.subject}, X-B: {value: b}}, secretHeader: {secretRef: {name: own, key: token}}}, cache: {key: auth.subject, ttl: 10s, onError: 0s}, optional: true"), ""},
		{"at a URL", step("http: {url: 'https://accounts.example/v1', method: POST, body: '{}'}, timeout: 500ms"), ""},
		{"of a provider", step("userInfo: {issuer: 'https://issuer.example'}, cache: {ttl: 1m}"), ""},
		{"of a provider at a URL", step("userInfo: {url: 'https://issuer.example/userinfo'}"), ""},
		{"nobody to ask", step("optional: true"), neither},
		{"both", step("userInfo: {url: 'https://a'}, http: {url: 'https://a'}"), neither},
		{"two services", step("http: {url: 'https://a', backendRef: {name: a, port: 80}}"), "set exactly one of backendRef and url"},
		{"no service", step("http: {method: GET}"), "set exactly one of backendRef and url"},
		{"a body of GET", step("http: {url: 'https://a', body: '1'}"), "a body goes with method POST"},
		{"another method", step("http: {url: 'https://a', method: PUT}"), "Unsupported value"},
		{"a file", step("http: {url: 'file:///a'}"), "not an absolute http or https URL"},
		{"a header of the gateway's", step("http: {url: 'https://a', headers: {Host: {value: b}}}"), "the gateway itself sets host"},
		{"a header twice", step("http: {url: 'https://a', headers: {authorization: {value: b}}, secretHeader: {secretRef: {name: own, key: token}}}"), "set the same header"},
		{"no issuer", step("userInfo: {}"), "set exactly one of issuer and url"},
		{"a key for a user", step("userInfo: {url: 'https://a'}, cache: {key: auth.subject}"), "kept by their token"},
		{"a name that no expression can say", route + "rules: {metadata: {my-account: {http: {url: 'https://a'}}}}", "a name must start with a letter"},
		{"no steps", route + "rules: {metadata: {}}", "should have at least 1 properties"},
	})
}

func TestValidationPolicySchema(t *testing.T) {
	testSchema(t, v1alpha1.KindValidationPolicy, []schemaCase{
		{"body", check("{methods: [POST, PUT], maxBodyBytes: 1Mi, contentTypes: [application/json, 'image/*'], jsonSchema: {inline: {type: object, required: [id]}}}"), ""},
		{"size as a number", check("{maxBodyBytes: 4096}"), ""},
		{"large upload without a schema", check("{maxBodyBytes: 5Gi}"), ""},
		{"parameters", check("{headers: [{name: X-Request-ID, required: true, pattern: '[a-f0-9]{32}'}], query: [{name: 'filter[size]', type: integer, minimum: 1, maximum: 9}, {name: sort, enum: [up, down]}]}"), ""},
		{"schema in a ConfigMap", check("{jsonSchema: {configMapRef: {name: schemas, key: order.json}}}"), ""},
		{"defaults", route + "mode: Shadow\ndefaults: {strategy: Merge, rules: {when: ['true'], checks: {a: {maxBodyBytes: 1}}}}", ""},

		{"no section", route, "set exactly one of rules, defaults and overrides"},
		{"a Service as target", "targetRefs: [{group: '', kind: Service, name: orders}]\nrules: {checks: {a: {maxBodyBytes: 1}}}", "a target must be a Gateway, ListenerSet, HTTPRoute or GRPCRoute"},
		{"no checks", route + "rules: {checks: {}}", "should have at least 1 properties"},
		{"bad check name", route + "rules: {checks: {1st: {maxBodyBytes: 1}}}", "a name must start with a letter"},
		{"empty check", check("{methods: [POST]}"), "the check demands nothing"},
		{"unknown method", check("{methods: [FETCH], maxBodyBytes: 1}"), "Unsupported value"},
		{"size of nothing", check("{maxBodyBytes: 0}"), "maxBodyBytes must be 1 or more"},
		{"size of nothing, as a text", check("{maxBodyBytes: 0Mi}"), "maxBodyBytes must be 1 or more"},
		{"schema over a large body", check("{maxBodyBytes: 1Gi, jsonSchema: {inline: {}}}"), "set maxBodyBytes to 16Mi or less"},
		{"schema over a large body, as a number", check("{maxBodyBytes: 16777217, jsonSchema: {inline: {}}}"), "set maxBodyBytes to 16Mi or less"},
		{"content type with a parameter", check("{contentTypes: [text/html; charset=utf-8]}"), "spec.rules.checks.body.contentTypes[0]"},
		{"header name with a space", check("{headers: [{name: 'a b'}]}"), "not a header name"},
		{"parameter twice", check("{query: [{name: a}, {name: a}]}"), "Duplicate value"},
		{"pattern of a number", check("{query: [{name: a, type: number, pattern: '1.*'}]}"), "pattern goes with type string"},
		{"minimum of a text", check("{query: [{name: a, minimum: 1}]}"), "minimum and maximum go with type integer or number"},
		{"empty range", check("{query: [{name: a, type: integer, minimum: 2, maximum: 1}]}"), "minimum is greater than maximum"},
		{"two schemas", check("{jsonSchema: {inline: {}, configMapRef: {name: a, key: b}}}"), "set exactly one of inline and configMapRef"},
		{"schema that is not an object", check("{jsonSchema: {inline: [1]}}"), "must be of type object"},
	})
}

func TestGatewayParametersSchema(t *testing.T) {
	service := func(s string) string { return "service: " + s }
	testSchema(t, v1alpha1.KindGatewayParameters, []schemaCase{
		{"nothing", "{}", ""},
		{"all of a load balancer", service(`{type: LoadBalancer, loadBalancerClass: example.com/a, labels: {a: b}, annotations: {example.com/a: "b"}, externalTrafficPolicy: Local,
			internalTrafficPolicy: Local, sessionAffinity: ClientIP, ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4],
			loadBalancerSourceRanges: [192.0.2.0/24, "2001:db8::/32"], nodePorts: [{port: 80, nodePort: 30080}, {port: 80, protocol: UDP, nodePort: 30080}]}`), ""},
		{"a class without a type", service("{loadBalancerClass: a}"), ""},

		{"an unknown type", service("{type: ExternalName}"), `supported values: "LoadBalancer", "NodePort", "ClusterIP"`},
		{"a class on nodes", service("{type: NodePort, loadBalancerClass: a}"), "loadBalancerClass goes with type LoadBalancer only"},
		{"ranges on nodes", service("{type: NodePort, loadBalancerSourceRanges: [192.0.2.0/24]}"), "loadBalancerSourceRanges go with type LoadBalancer only"},
		{"outside traffic inside", service("{type: ClusterIP, externalTrafficPolicy: Local}"), "externalTrafficPolicy goes with types LoadBalancer and NodePort only"},
		{"node ports inside", service("{type: ClusterIP, nodePorts: [{port: 80, nodePort: 30080}]}"), "nodePorts go with types LoadBalancer and NodePort only"},
		{"two families of one", service("{ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]}"), "ipFamilyPolicy SingleStack takes one of ipFamilies"},
		{"a family twice", service("{ipFamilies: [IPv4, IPv4]}"), "the same family is named twice"},
		{"an address for a range", service("{loadBalancerSourceRanges: [192.0.2.1]}"), "a range must be in CIDR notation"},
		{"a port twice", service("{nodePorts: [{port: 80, nodePort: 30080}, {port: 80, nodePort: 30081}]}"), "the same port is named twice"},
		{"a node port twice", service("{nodePorts: [{port: 80, nodePort: 30080}, {port: 81, nodePort: 30080}]}"), "two ports have the same nodePort"},
		{"a label that is none", service("{labels: {a: 'b c'}}"), "spec.service.labels.a"},
		{"a field of its own", service("{selector: {a: b}}"), "unknown field"},

		{"load balancers that say who calls", `clients: {proxyProtocol: {mode: Optional, trusted: [192.0.2.0/24, "2001:db8::/32"]}}`, ""},
		{"nobody to believe", "clients: {proxyProtocol: {}}", "spec.clients.proxyProtocol.trusted"},
		{"nobody at all to believe", "clients: {proxyProtocol: {trusted: []}}", "should have at least 1 items"},
		{"an address for a range to believe", "clients: {proxyProtocol: {trusted: [192.0.2.1]}}", "a range must be in CIDR notation"},
		{"an unknown mode", "clients: {proxyProtocol: {mode: Strict, trusted: [192.0.2.0/24]}}", `supported values: "Required", "Optional"`},

		{"limits", "clients: {limits: {maxConnections: 1, headerTimeout: 5s}, ports: [{port: 80, limits: {maxRequestBodyBytes: 10737418240}}]}", ""},
		{"no connection", "clients: {limits: {maxConnections: 0}}", "spec.clients.limits.maxConnections"},
		{"a head that no browser keeps to", "clients: {limits: {maxRequestHeaderBytes: 100}}", "should be greater than or equal to 1024"},
		{"a time that is none", "clients: {limits: {idleTimeout: soon}}", "spec.clients.limits.idleTimeout"},
		{"limits of a port twice", "clients: {ports: [{port: 80, limits: {}}, {port: 80, limits: {}}]}", "Duplicate value"},
		{"limits of no port", "clients: {ports: [{limits: {}}]}", "spec.clients.ports[0].port"},
	})
}

// testSchema offers each spec to the API server without storing it.
func testSchema(t *testing.T, kind string, cases []schemaCase) {
	c := Client(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var spec map[string]any
			if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(tc.spec, "\t", " ")), &spec); err != nil {
				t.Fatal(err)
			}
			policy := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
			policy.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
			policy.SetNamespace("default")
			policy.SetName("case")
			text, err := yaml.Marshal(policy)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Create(context.Background(), policy, client.DryRunAll, client.FieldValidation("Strict"))
			agree(t, text, err)
			switch {
			case tc.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.refused != "" && err == nil:
				t.Errorf("accepted, want a refusal that says %q", tc.refused)
			case tc.refused != "" && (!apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), tc.refused)):
				t.Errorf("refused with %v\nwant a message that says %q", err, tc.refused)
			}
		})
	}
}
