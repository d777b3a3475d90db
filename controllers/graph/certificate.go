package graph

import (
	"crypto/tls"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

const kindSecret = "Secret"

// keyPair is a Secret read as a certificate: the certificate or why it is none.
type keyPair struct {
	certificate *Certificate
	wrong       string
}

// certificates resolves the certificateRefs of a listener, and says what is
// wrong with those that cannot be used.
func (b *Builder) certificates(r *store.Reader, in listenerInput) (out []*Certificate, bad []*spec.Problem) {
	l := &in.gateway.Spec.Listeners[in.index]
	if len(l.TLS.CertificateRefs) == 0 {
		return nil, []*spec.Problem{spec.Problemf(gatewayv1.ListenerReasonInvalidCertificateRef,
			"spec.listeners[%d].tls.certificateRefs: none is given; name a Secret of type %s", in.index, corev1.SecretTypeTLS)}
	}
	for i, ref := range l.TLS.CertificateRefs {
		field := fmt.Sprintf("spec.listeners[%d].tls.certificateRefs[%d]", in.index, i)
		certificate, p := b.keyPair(r, &ref, user{in.gateway.kind, in.gateway.Namespace, ofIngresses(in.gateway.Gateway)}, field)
		if p != nil {
			bad = append(bad, p)
			continue
		}
		out = append(out, certificate)
	}
	return out, bad
}

// parseCertificate checks that a Secret is of type kubernetes.io/tls and that
// its certificate goes with its key.
func parseCertificate(r *store.Reader, name types.NamespacedName) keyPair {
	secret := r.Secret(name)
	switch {
	case secret == nil:
		return keyPair{wrong: "does not exist"}
	case secret.Type != corev1.SecretTypeTLS:
		return keyPair{wrong: fmt.Sprintf("is of type %q; it must be of type %s", secret.Type, corev1.SecretTypeTLS)}
	}
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(chain) == 0 || len(key) == 0 {
		return keyPair{wrong: fmt.Sprintf("must have data under %s and %s", corev1.TLSCertKey, corev1.TLSPrivateKeyKey)}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return keyPair{wrong: "holds no usable certificate and key: " + err.Error()}
	}
	c := &Certificate{Secret: name, Chain: chain, Key: key}
	for _, host := range pair.Leaf.DNSNames {
		c.Names = append(c.Names, strings.ToLower(host))
	}
	return keyPair{certificate: c}
}
