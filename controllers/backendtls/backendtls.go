// Package backendtls reads BackendTLSPolicies (GEP-1897): which of them stands at
// a port of a Service, and what it says of how the pods behind are reached.
//
// graph asks it for every backend of a route, attach for the policies' statuses.
// It calls store for the policies and the ConfigMaps they name, and spec. It is
// pure.
package backendtls

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/policy"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// Settings is what one policy says, with its references resolved.
type Settings struct {
	Policy     types.NamespacedName
	Hostname   string                     // sent as SNI, and checked unless Names are given
	CAs        []byte                     // PEM; empty for the system's
	Names      []gatewayv1.SubjectAltName // one of them must be in the certificate
	Unresolved *spec.Problem              // of references: those that resolve are trusted
	Refused    *spec.Problem              // the policy cannot be used: no request goes to what it covers
}

// Read resolves one policy, which is there.
func Read(r *store.Reader, name types.NamespacedName) *Settings {
	p := r.BackendTLSPolicy(name)
	s := Resolve(r, name.Namespace, "spec.validation", &p.Spec.Validation)
	s.Policy = name
	return s
}

// Resolve resolves what says whom to trust, at a field of an object of that
// namespace: a policy, or an XBackend.
func Resolve(r *store.Reader, namespace, at string, v *gatewayv1.BackendTLSPolicyValidation) *Settings {
	s := &Settings{Hostname: string(v.Hostname), Names: v.SubjectAltNames}
	s.Refused = spec.Sentences(validate(v, at))
	var bad []*spec.Problem
	for i, ref := range v.CACertificateRefs {
		field := fmt.Sprintf("%s.caCertificateRefs[%d]", at, i)
		if ref.Group != "" || ref.Kind != gatewayv1.Kind(store.ConfigMap) {
			bad = append(bad, spec.Problemf(gatewayv1.BackendTLSPolicyReasonInvalidKind,
				"%s: %s is not supported; name a ConfigMap of the core group", field, cmp.Or(string(ref.Kind), "an empty kind")))
			continue
		}
		of := types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}
		bundle, wrong := spec.Authorities(r.ConfigMap(of))
		if wrong != "" {
			bad = append(bad, spec.Problemf(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef, "%s: ConfigMap %s %s", field, of, wrong))
			continue
		}
		s.CAs = append(append(s.CAs, bundle...), '\n')
	}
	s.Unresolved = spec.Sentences(bad)
	if s.Refused == nil && len(bad) > 0 && len(bad) == len(v.CACertificateRefs) {
		s.Refused = spec.Problemf(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate, "no CA certificate can be used: %s", s.Unresolved.Text)
	}
	return s
}

// validate finds what the schema refuses too, and what only we do.
func validate(v *gatewayv1.BackendTLSPolicyValidation, at string) (bad []*spec.Problem) {
	problem := func(field, text string) {
		bad = append(bad, spec.Problemf(gatewayv1.PolicyReasonInvalid, "%s.%s: %s", at, field, text))
	}
	wellKnown := v.WellKnownCACertificates != nil && *v.WellKnownCACertificates != ""
	switch {
	case wellKnown && len(v.CACertificateRefs) > 0:
		problem("wellKnownCACertificates", "goes without caCertificateRefs; remove one of them")
	case !wellKnown && len(v.CACertificateRefs) == 0:
		problem("caCertificateRefs", "is empty; name a ConfigMap, or set wellKnownCACertificates to System")
	case wellKnown && *v.WellKnownCACertificates != gatewayv1.WellKnownCACertificatesSystem:
		problem("wellKnownCACertificates", fmt.Sprintf("%s is not known; use System, or name a ConfigMap in caCertificateRefs", *v.WellKnownCACertificates))
	}
	if v.Hostname == "" {
		problem("hostname", "is missing")
	}
	for i, n := range v.SubjectAltNames {
		if n.Type == gatewayv1.HostnameSubjectAltNameType && n.Hostname != "" || n.Type == gatewayv1.URISubjectAltNameType && n.URI != "" {
			continue
		}
		problem(fmt.Sprintf("subjectAltNames[%d]", i), "has no value of its type; give Hostname a hostname, URI a uri")
	}
	return bad
}

// At returns the name of the policy that stands at a port of a Service: one for
// the port before one for the whole Service, and the oldest of each.
func At(r *store.Reader, service *corev1.Service, port string) (name types.NamespacedName, found bool) {
	of := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	policies := r.BackendTLSPoliciesOn(of)
	for _, section := range []string{port, ""} {
		if p := oldest(policies, service.Name, section); p != nil {
			return nameOf(p), true
		}
	}
	return name, false
}

// Rival returns the older policy that has a target of p; nil for none.
func Rival(r *store.Reader, p *gatewayv1.BackendTLSPolicy, ref *gatewayv1.LocalPolicyTargetReferenceWithSectionName) *gatewayv1.BackendTLSPolicy {
	of := types.NamespacedName{Namespace: p.Namespace, Name: string(ref.Name)}
	first := oldest(r.BackendTLSPoliciesOn(of), of.Name, Section(ref))
	if first == nil || nameOf(first) == nameOf(p) {
		return nil
	}
	return first
}

// IsService says whether a target is one that policies of this kind attach to.
func IsService(ref *gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
	return ref.Group == "" && ref.Kind == gatewayv1.Kind(store.Service)
}

// Section is the port name a target names; "" for the whole Service.
func Section(ref *gatewayv1.LocalPolicyTargetReferenceWithSectionName) string {
	if ref.SectionName == nil {
		return ""
	}
	return string(*ref.SectionName)
}

// oldest is the policy that has a section of a Service; nil for none.
func oldest(policies []*gatewayv1.BackendTLSPolicy, service, section string) *gatewayv1.BackendTLSPolicy {
	first, _ := policy.Oldest(policies, func(p *gatewayv1.BackendTLSPolicy) bool {
		return slices.ContainsFunc(p.Spec.TargetRefs, func(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
			return IsService(&ref) && string(ref.Name) == service && Section(&ref) == section
		})
	})
	return first
}

func nameOf(p *gatewayv1.BackendTLSPolicy) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}
