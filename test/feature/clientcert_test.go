package feature

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// validation is a Gateway's YAML with spec.tls.frontend, a YAML flow mapping.
func validation(gateway, frontend string) string {
	return strings.Replace(gateway, "spec:\n", "spec:\n  tls: {frontend: "+frontend+"}\n", 1)
}

const (
	byCA    = `{validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`
	byOther = `{validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: other}]}}`
	asked   = `{validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`
)

// Each port asks for certificates of the authorities its Gateway names for it.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	https := func(name, port string) string {
		return "{name: " + name + ", protocol: HTTPS, port: " + port + ", tls: {certificateRefs: [{name: cert}]}}"
	}
	w := Start(t, Base+Bundle("ca", ca)+Bundle("other", other)+ca.Secret("cert", "a.example")+
		validation(Gateway("edge", https("default", "443"), https("other", "444"), https("asked", "445"), https("open", "446"), https("broken", "447")),
			"{default: "+byCA+", perPort: [{port: 444, tls: "+byOther+"}, {port: 445, tls: "+asked+"}, {port: 446, tls: {}}, "+
				`{port: 447, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: gone}]}}}]}`)+Route("r", toAPI))
	mine, theirs := ca.Certificate("client"), other.Certificate("client")
	ask := func(listener string, certificate *tls.Certificate, admitted bool) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := ca.Trusted()
			config.ServerName, config.MaxVersion = "a.example", version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			// What the gateway would rather see is not looked at.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if certificate == nil {
					return &tls.Certificate{}, nil
				}
				return certificate, nil
			}
			for range 2 { // the second resumes the first's session
				c := w.Client("shop/edge/"+listener, TLS(config), func(t *http.Transport) { t.DisableKeepAlives = true })
				a, err := Fetch(c, "GET https://a.example/", "")
				if admitted != (err == nil) || admitted && a.Status != 200 {
					t.Errorf("%s: %d %s %v, want admitted: %v", listener, a.Status, a.Code(), err, admitted)
				}
			}
		}
	}
	ask("default", &mine, true)
	ask("default", &theirs, false)
	ask("default", nil, false)
	ask("other", &theirs, true)
	ask("other", &mine, false)
	for _, c := range []*tls.Certificate{&mine, &theirs, nil} {
		ask("asked", c, true)
		ask("open", c, true)
	}
	if w.Server.Addr("shop/edge/broken") != nil {
		t.Error("a listener without one CA is open")
	}
	g := w.Apply(Bundle("gone", ca))
	ask("broken", &mine, true)
	if !strings.Contains(w.conditions(g), "Gateway shop/edge: InsecureFrontendValidationMode=True ConfigurationChanged") {
		t.Error(w.conditions(g))
	}
}

// A connection that is open is asked again when the authorities change: it serves
// on as long as they vouch for its client, and no longer.
func TestClientAuthoritiesChange(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	gateway := Gateway("edge", `{name: http, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}`)
	w := Start(t, Base+Bundle("ca", ca)+ca.Secret("cert", "a.example")+gateway+Route("r", toAPI))
	known, unknown := ca.Trusted(), ca.Trusted()
	known.Certificates = []tls.Certificate{ca.Certificate("client")}
	for _, h2 := range []bool{true, false} {
		w.Apply(gateway)
		protocol := func(t *http.Transport) { t.ForceAttemptHTTP2 = h2 }
		early := w.Client("", TLS(unknown), protocol)
		ask := func(c *http.Client, what string, status int) {
			t.Helper()
			a, err := Fetch(c, "GET https://a.example/", "")
			if err != nil || a.Status != status {
				t.Errorf("h2 %v: %s: %d %s %v, want %d", h2, what, a.Status, a.Code(), err, status)
			}
		}
		ask(early, "no certificate is asked for", 200)
		w.Apply(Bundle("ca", ca) + validation(gateway, "{default: "+byCA+"}"))
		ask(early, "a connection from before certificates were asked for", 421)
		c := w.Client("", TLS(known), protocol)
		ask(c, "a client that is known", 200)
		w.Apply(Bundle("ca", ca, other))
		ask(c, "one authority more", 200)
		w.Apply(Bundle("ca", other))
		ask(c, "the client's authority has gone", 421)
		w.Apply(Bundle("ca", ca))
		ask(c, "it is back", 200)
	}
}

// A connection for a host that asks for nothing cannot reach one that does.
func TestClientCertificatesByHost(t *testing.T) {
	t.Parallel()
	ca := NewAuthority(t)
	w := Start(t, Base+Bundle("ca", ca)+ca.Secret("cert", "open.example", "strict.example")+
		Gateway("edge", `{name: http, protocol: HTTPS, port: 443, hostname: open.example, tls: {certificateRefs: [{name: cert}]}}`)+
		validation(Gateway("strict", `{name: http, protocol: HTTPS, port: 443, hostname: strict.example, tls: {certificateRefs: [{name: cert}]}}`), "{default: "+byCA+"}")+
		Route("r", toAPI)+strings.Replace(Route("s", toAPI), "{name: edge}", "{name: strict}", 1))
	config := ca.Trusted()
	config.ServerName = "open.example"
	for _, h2 := range []bool{true, false} {
		c := w.Client("", TLS(config), func(t *http.Transport) { t.ForceAttemptHTTP2 = h2 })
		if a := w.Over(c, "GET https://open.example/", ""); a.Status != 200 {
			t.Errorf("h2 %v: %d %s", h2, a.Status, a.Code())
		}
		if a := w.Over(c, "GET https://open.example/", "", "host: strict.example"); a.Status != 421 {
			t.Errorf("h2 %v: %d %s, want 421", h2, a.Status, a.Code())
		}
	}
	config.ServerName = "strict.example"
	if a, err := Fetch(w.Client("", TLS(config)), "GET https://strict.example/", ""); err == nil {
		t.Errorf("without a certificate: %d", a.Status)
	}
}

// What explain says of a client certificate is what becomes of it: the running gateway and
// manifests give the same answer.
func TestExplainClientCertificate(t *testing.T) {
	t.Parallel()
	ca, other := NewAuthority(t), NewAuthority(t)
	https := func(name, port string) string {
		return "{name: " + name + ", protocol: HTTPS, port: " + port + ", tls: {certificateRefs: [{name: cert}]}}"
	}
	base, services, _ := strings.Cut(Base, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n") // which has another Gateway there
	_, services, _ = strings.Cut(services, "---\n")
	all := base + services + Bundle("ca", ca) + ca.Secret("cert", "a.example") +
		validation(Gateway("edge", https("strict", "443"), https("asked", "445"), https("open", "446")),
			"{default: "+byCA+", perPort: [{port: 445, tls: "+asked+"}, {port: 446, tls: {}}]}") +
		Route("r", toAPI) + Auth("a", guarded, `rules: {authentication: {apps: {clientCertificate: {match: [{san: {type: DNS, value: orders.example}}]}}}, `+subject+`}`)
	w := Start(t, all)
	folder := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shown := func(by *Authority, path, name string) string {
		chain, key := by.Pair(name)
		return file(path, append(key, chain...)) // as one file, often
	}
	mine, another, theirs := shown(ca, "mine.pem", "orders.example"), shown(ca, "another.pem", "else.example"), shown(other, "theirs.pem", "orders.example")
	manifests := file("all.yaml", []byte(all))
	is := func(url, certificate string, want ...string) {
		t.Helper()
		args := []string{"explain", "GET", url}
		if certificate != "" {
			args = append(args, "--client-cert", certificate)
		}
		live, err := gatehouse(t, w, args...)
		if err != nil {
			t.Error(err)
		}
		offline, err := gatehouse(t, w, append(args, "-f", manifests)...)
		if err != nil {
			t.Error(err)
		}
		contains(t, live, want...)
		contains(t, offline, want...)
	}
	is("https://a.example/", mine, "gateway shop/edge: forwarded", "caller    apps orders.example", "backend gets x-user: orders.example")
	is("https://a.example/", another, "answered 401 client_certificate_mismatch")
	is("https://a.example/", theirs, "no connection", "listener shop/edge/strict does not believe the client certificate (spec.tls.frontend of the Gateway): x509: certificate signed by unknown authority")
	is("https://a.example/", "", "no connection", "listener shop/edge/strict takes nobody without a client certificate")
	is("https://a.example:445/", mine, "forwarded")
	is("https://a.example:445/", theirs, "answered 401 client_certificate_unverified")
	is("https://a.example:446/", mine, "answered 401 auth_missing", "certificate: listener shop/edge/open asks for none")
	bad := file("bad.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	for _, certificate := range []string{manifests, "/dev/zero", filepath.Join(folder, "gone.pem"), bad} {
		if text, err := gatehouse(t, w, "explain", "GET", "https://a.example/", "--client-cert", certificate); err == nil {
			t.Errorf("%s: %s", certificate, text)
		}
	}
	w.Apply(Gateway("plain", `{name: http, protocol: HTTP, port: 80}`))
	if _, err := gatehouse(t, w, "explain", "GET", "http://a.example/", "--client-cert", mine); err == nil || !strings.Contains(err.Error(), "write a URL of https") {
		t.Error(err)
	}
}
