package feature

import (
	"crypto/tls"
	"net/http"
	"testing"
)

// as asks the listener with a certificate, if there is one: "method subject" as the
// backend was told, or "status code".
func (w *World) as(listener string, ca *Authority, certificate *tls.Certificate) func(want string) {
	config := ca.Trusted()
	config.ServerName = "a.example"
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	}
	c := w.Client(listener, TLS(config), func(t *http.Transport) { t.ForceAttemptHTTP2 = true })
	return func(want string) {
		w.t.Helper()
		if got := outcome(w.Over(c, "GET https://a.example/", "")); got != want {
			w.t.Errorf("%s: %s, want %s", listener, got, want)
		}
	}
}

// A policy says which of the certificates that a listener believes may pass, and
// believes none that it does not.
func TestClientCertificateMethod(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	https := func(name, port string) string {
		return "{name: " + name + ", protocol: HTTPS, port: " + port + ", tls: {certificateRefs: [{name: cert}]}}"
	}
	gateway := Gateway("edge", https("checked", "443"), https("asked", "444"), https("open", "445"))
	certs := validation(gateway, "{default: "+byCA+", perPort: [{port: 444, tls: "+asked+"}, {port: 445, tls: {}}]}")
	policy := func(method string) string {
		return Auth("a", guarded, `rules: {authentication: {services: {clientCertificate: `+method+`}}, response: {headers: {x-method: {cel: auth.method},
			x-user: {cel: "auth.subject + ' ' + auth.claims.commonName + ' ' + string(size(auth.claims.sans.uri))"}}}}`)
	}
	w := Start(t, Base+Bundle("ca", ca)+ca.Secret("cert", "a.example")+certs+Route("r", toAPI)+policy("{}"))
	orders, stranger := ca.Certificate("orders", "spiffe://shop.example/orders"), other.Certificate("orders", "spiffe://shop.example/orders")
	plain := ca.Certificate("plain.example")
	const isOrders, isPlain = "services spiffe://shop.example/orders orders 1", "services plain.example plain.example 0"

	checked := w.as("shop/edge/checked", ca, &orders)
	checked(isOrders)
	w.as("shop/edge/checked", ca, &plain)(isPlain)
	w.as("shop/edge/asked", ca, &orders)(isOrders)
	w.as("shop/edge/asked", ca, &stranger)("401 client_certificate_unverified")
	w.as("shop/edge/asked", ca, nil)("401 auth_missing")
	w.as("shop/edge/open", ca, &orders)("401 auth_missing")

	// Another policy counts for connections that are open.
	w.Apply(policy(`{match: [{san: {type: DNS, value: orders}, commonName: else}, {san: {type: URI, value: "spiffe://other.example/*"}}]}`))
	checked("401 client_certificate_mismatch")
	w.Apply(policy(`{match: [{commonName: else}, {san: {type: URI, value: "spiffe://shop.example/*"}}]}`))
	checked(isOrders)
	w.as("shop/edge/checked", ca, &plain)("401 client_certificate_mismatch")

	// An authority that is no longer asked stands for nobody.
	w.Apply(gateway)
	checked("401 client_certificate_unverified")
	w.Apply(certs)
	checked(isOrders)
}
