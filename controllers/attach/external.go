package attach

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/backendtls"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// external checks an externalAuth rule and finds its Service.
func (d *draft) external(item, field string, e *v1alpha1.ExternalAuth) {
	switch {
	case (e.BackendRef != nil) == (e.URL != nil):
		d.bad(field, "set exactly one of backendRef and url")
	case e.URL != nil:
		d.url(field+".url", *e.URL, "the service is asked there")
	default:
		d.resolved[item] = d.service(e.BackendRef)
	}
	if (e.GRPC != nil) == (e.HTTP != nil) {
		d.bad(field, "set exactly one of grpc and http")
	}
	if e.HTTP != nil {
		if why := spec.PrefixFault(e.HTTP.Path); why != "" {
			d.bad(field+".http.path", "%s", why)
		}
	}
	d.duration(field+".timeout", e.Timeout, time.Minute)
	c := e.Cache
	if c == nil {
		return
	}
	switch {
	case e.ForwardBody != nil:
		d.bad(field+".cache", "an answer to a request whose content was looked at is good for no other; remove cache or forwardBody")
	case (c.Key != nil) == (len(c.Headers) > 0):
		d.bad(field+".cache", "set exactly one of key and headers")
	case c.Key != nil:
		d.expression(field+".cache.key", d.checks.Value, *c.Key)
	}
	d.duration(field+".cache.ttl", &c.TTL, time.Hour)
}

// duration checks one that may be missing.
func (d *draft) duration(field string, value *gatewayv1.Duration, most time.Duration) {
	if value == nil {
		return
	}
	if v, err := time.ParseDuration(string(*value)); err != nil || v < time.Millisecond || v > most {
		d.bad(field, "%q is not a duration from 1ms to %v", string(*value), most)
	}
}

// service finds the Service of a reference, and the BackendTLSPolicy that stands
// at its port. One that is missing may come any moment: that breaks the part, not
// the policy.
func (d *draft) service(ref *v1alpha1.ServicePort) Parts {
	name := inNamespace(d.object, ref.Name)
	s := d.reads.Service(name)
	if s == nil {
		return Parts{Broken: fmt.Sprintf("Service %s does not exist", name)}
	}
	port := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
		return p.Port == int32(ref.Port) && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP)
	})
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return Parts{Broken: fmt.Sprintf("Service %s is of type ExternalName, which is not supported; use one with endpoints, or url", name)}
	case port < 0:
		return Parts{Broken: fmt.Sprintf("Service %s has no TCP port %d", name, ref.Port)}
	}
	policy, found := backendtls.At(d.reads, s, s.Spec.Ports[port].Name)
	if !found {
		return Parts{Service: s}
	}
	tls := backendtls.Read(d.reads, policy)
	if tls.Refused != nil {
		return Parts{Broken: fmt.Sprintf("Service %s: BackendTLSPolicy %s: %s", name, policy, tls.Refused.Text)}
	}
	return Parts{Service: s, TLS: tls}
}
