package graph

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayx "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/external"
	"github.com/gatehouse-dev/gatehouse/controllers/refgrant"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/controllers/traffic"
)

// secure finds the BackendTLSPolicies and XBackendTrafficPolicies that stand at a route's backends, and at
// those its requests are mirrored to.
func (b *Builder) secure(r *store.Reader, rules []*Rule) {
	for _, rule := range rules {
		b.secureBackends(r, rule.Backends)
		b.secureBackends(r, rule.Asides)
		for _, backend := range rule.Backends {
			b.secureBackends(r, backend.Asides)
		}
	}
}

func (b *Builder) secureBackends(r *store.Reader, list []*Backend) {
	for _, backend := range list {
		if backend.Broken != "" || backend.UDP {
			continue
		}
		if backend.Outside {
			b.secureExternal(r, backend)
			continue
		}
		backend.Traffic = traffic.Settings(r, backend.Service)
		service := r.Service(backend.Service)
		if service == nil {
			continue
		}
		i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == backend.Port && overTCP(p) })
		if i < 0 {
			continue
		}
		if policy, found := backendtls.At(r, service, service.Spec.Ports[i].Name); found {
			backend.TLS = b.settings(r, policy)
		}
	}
}

// secureExternal finds how an XBackend is reached over TLS, and what is shown to it.
func (b *Builder) secureExternal(r *store.Reader, backend *Backend) {
	settings, ref := external.Secure(r, backend.Service)
	backend.TLS, backend.Client = settings, &Client{}
	if ref != nil && settings != nil && settings.Refused == nil {
		backend.Client.Certificate, settings.Refused = b.keyPair(r, ref, user{kind: store.XBackend, namespace: backend.Service.Namespace}, "spec.tls.clientCertificateRef")
	}
}

// settings is what a policy says; it is read once for all that use it.
func (b *Builder) settings(r *store.Reader, policy types.NamespacedName) *backendtls.Settings {
	for _, ref := range r.BackendTLSPolicy(policy).Spec.Validation.CACertificateRefs { // what b.tls keeps is read here too
		r.ConfigMap(types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)})
	}
	return b.tls.Get(b.store, policy, backendtls.Read)
}

// marksTLS says whether an appProtocol says that the port is one of TLS.
func marksTLS(app string) bool {
	return strings.EqualFold(app, "https") || app == "kubernetes.io/wss"
}

// Client is what a Gateway shows to backends of TLS (GEP-3155): a certificate,
// nothing, or why the one it names cannot be shown. Then nothing goes to such
// backends: they would take the Gateway for somebody else.
type Client struct {
	Certificate *Certificate
	Broken      string
}

// client resolves the certificate that a Gateway shows to backends, and says how
// its references stand; nil where it names none.
func (b *Builder) client(r *store.Reader, gw *gatewayv1.Gateway) (Client, *metav1.Condition) {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Backend == nil || gw.Spec.TLS.Backend.ClientCertificateRef == nil {
		return Client{}, nil
	}
	certificate, p := b.keyPair(r, gw.Spec.TLS.Backend.ClientCertificateRef, user{kind: store.Gateway, namespace: gw.Namespace}, "spec.tls.backend.clientCertificateRef")
	if p == nil {
		c := yes(gatewayv1.GatewayConditionResolvedRefs, gatewayv1.GatewayReasonResolvedRefs, "the client certificate is resolved")
		return Client{Certificate: certificate}, &c
	}
	if p.Reason == string(gatewayv1.ListenerReasonInvalidCertificateRef) {
		p.Reason = string(gatewayv1.GatewayReasonInvalidClientCertificateRef)
	}
	c := no(gatewayv1.GatewayConditionResolvedRefs, p.Reason, p.Text+"; requests to backends of TLS get 500")
	return Client{Broken: p.Text}, &c
}

// user is whose reference it is.
type user struct {
	kind      store.Kind
	namespace string
	free      bool // no grant is asked for: Ingresses use Secrets of their own namespace
}

// keyPair resolves a reference to a TLS Secret.
func (b *Builder) keyPair(r *store.Reader, ref *gatewayv1.SecretObjectReference, by user, field string) (*Certificate, *spec.Problem) {
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != kindSecret {
		return nil, spec.Problemf(gatewayv1.ListenerReasonInvalidCertificateRef, "%s: only a Secret of the core group can be used", field)
	}
	name := types.NamespacedName{Namespace: by.namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	if p := by.permitted(r, kindSecret, name, field); p != nil {
		return nil, p
	}
	r.Secret(name) // what b.certs keeps is read here too
	pair := b.certs.Get(b.store, name, parseCertificate)
	if pair.certificate == nil {
		return nil, spec.Problemf(gatewayv1.ListenerReasonInvalidCertificateRef, "%s: Secret %s %s", field, name, pair.wrong)
	}
	return pair.certificate, nil
}

// permitted says what keeps by from using an object of the core group.
func (by user) permitted(r *store.Reader, kind gatewayv1.Kind, name types.NamespacedName, field string) *spec.Problem {
	from := gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: gatewayv1.Kind(by.kind), Namespace: gatewayv1.Namespace(by.namespace)}
	if by.kind == store.XBackend {
		from.Group = gatewayx.GroupName
	}
	if by.free || refgrant.Allows(r, from, kind, name) {
		return nil
	}
	return spec.Problemf(gatewayv1.ListenerReasonRefNotPermitted, "%s: no ReferenceGrant in namespace %s lets %ss of namespace %s use %s %s",
		field, name.Namespace, by.kind, by.namespace, kind, name.Name)
}

// Clients is how a listener checks its clients' certificates (GEP-91).
type Clients struct {
	CAs      []byte // PEM
	Insecure bool   // one that is missing or wrong is let in
}

// clients resolves what a Gateway says of the client certificates of a port: nil
// for nothing. Without one CA to trust the listener is refused.
func (b *Builder) clients(r *store.Reader, gw *holder, port gatewayv1.PortNumber) (c *Clients, refused *spec.Problem, bad []*spec.Problem) {
	v, field := spec.ClientValidation(gw.Gateway, port)
	if v == nil {
		return nil, nil, nil
	}
	c = &Clients{Insecure: v.Mode == gatewayv1.AllowInsecureFallback}
	by := user{kind: store.Gateway, namespace: gw.gateway.Namespace}
	for i, ref := range v.CACertificateRefs {
		field := fmt.Sprintf("%s.caCertificateRefs[%d]", field, i)
		if ref.Group != "" || ref.Kind != gatewayv1.Kind(store.ConfigMap) {
			bad = append(bad, spec.Problemf(gatewayv1.ListenerReasonInvalidCACertificateKind, "%s: %s is not supported; name a ConfigMap of the core group", field, ref.Kind))
			continue
		}
		name := types.NamespacedName{Namespace: by.namespace, Name: string(ref.Name)}
		if ref.Namespace != nil {
			name.Namespace = string(*ref.Namespace)
		}
		if p := by.permitted(r, ref.Kind, name, field); p != nil {
			bad = append(bad, p)
			continue
		}
		bundle, wrong := spec.Authorities(r.ConfigMap(name))
		if wrong != "" {
			bad = append(bad, spec.Problemf(gatewayv1.ListenerReasonInvalidCACertificateRef, "%s: ConfigMap %s %s", field, name, wrong))
			continue
		}
		c.CAs = append(append(c.CAs, bundle...), '\n')
	}
	if len(c.CAs) == 0 {
		return nil, spec.Problemf(gatewayv1.ListenerReasonNoValidCACertificate, "%s.caCertificateRefs: no CA certificate can be used, so the listener is not opened", field), bad
	}
	return c, nil, bad
}

// frontAndBack resolves what a Gateway says of TLS to its backends, and says how
// that stands and whether its clients may lack a certificate.
func (b *Builder) frontAndBack(r *store.Reader, gw *Gateway) (out []metav1.Condition) {
	var resolved *metav1.Condition
	gw.Client, resolved = b.client(r, gw.Object)
	for _, c := range []*metav1.Condition{resolved, insecure(gw.Object)} {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// insecure says that some port of a Gateway lets clients in whose certificate is
// missing or wrong; nil if none does.
func insecure(gw *gatewayv1.Gateway) *metav1.Condition {
	ports := spec.InsecurePorts(gw)
	if len(ports) == 0 {
		return nil
	}
	c := yes(gatewayv1.GatewayConditionInsecureFrontendValidationMode, gatewayv1.GatewayReasonConfigurationChanged,
		"clients without a valid certificate are let in by "+strings.Join(ports, ", "))
	return &c
}
