package migrate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// maxListeners is how many the schema of Gateway has room for.
const maxListeners = 64

// plain is the listener of port 80.
const plain = "http"

// secure notes the certificates of an Ingress.
func (m *migration) secure(s *source) {
	for _, tls := range s.Spec.TLS {
		hosts := tls.Hosts
		if len(hosts) == 0 {
			for _, r := range s.Spec.Rules {
				hosts = append(hosts, r.Host)
			}
		}
		for _, host := range hosts {
			host = strings.ToLower(host)
			secret := types.NamespacedName{Namespace: s.Namespace, Name: tls.SecretName}
			have, is := m.listeners[host]
			switch {
			case tls.SecretName == "":
				s.say("spec.tls", NotCarried, "host %q has no Secret of its own and the default certificate of ingress-nginx is not known here; name one", host)
			case is && have.secret != secret:
				s.say("spec.tls", NotCarried, "%s shows Secret %s for host %q; a host has one certificate", have.of, have.secret, host)
			case !is && len(m.hosts) == maxListeners-1:
				s.say("spec.tls", NotCarried, "a Gateway has room for %d listeners; put host %q into a ListenerSet of it", maxListeners, host)
			case !is:
				m.listeners[host] = listener{secret, "Ingress " + s.Namespace + "/" + s.Name}
				m.hosts = append(m.hosts, host)
				s.say("spec.tls", Carried, "")
			}
		}
	}
}

// covering is the listener that shows a certificate for a host; "" for none.
func (m *migration) covering(host string) gatewayv1.SectionName {
	_, rest, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + rest, ""} {
		if _, is := m.listeners[name]; is {
			return section(name)
		}
	}
	return ""
}

// showing are the listeners that show the certificates of hosts.
func (m *migration) showing(hosts []gatewayv1.Hostname) (out []gatewayv1.SectionName) {
	if len(hosts) == 0 {
		hosts = []gatewayv1.Hostname{""}
	}
	for _, host := range hosts {
		if name := m.covering(string(host)); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// section names the listener of a host.
func section(host string) gatewayv1.SectionName {
	if host == "" {
		return "https"
	}
	return gatewayv1.SectionName("https-" + strings.Replace(host, "*", "wildcard", 1))
}

// gateway is the Gateway, and the ReferenceGrants for its certificates.
func (m *migration) gateway() (out []Object) {
	all := gatewayv1.NamespacesFromAll
	routes := &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}}
	gw := &gatewayv1.Gateway{TypeMeta: typeMeta("Gateway")}
	gw.Namespace, gw.Name = m.in.Gateway.Namespace, m.in.Gateway.Name
	gw.Spec.GatewayClassName = gatewayv1.ObjectName(m.in.Class)
	gw.Spec.Listeners = []gatewayv1.Listener{{Name: plain, Port: 80, Protocol: gatewayv1.HTTPProtocolType, AllowedRoutes: routes}}
	grants := map[string]*gatewayv1.ReferenceGrant{}
	slices.Sort(m.hosts)
	for _, host := range m.hosts {
		secret := m.listeners[host].secret
		ref := gatewayv1.SecretObjectReference{Name: gatewayv1.ObjectName(secret.Name)}
		if secret.Namespace != gw.Namespace {
			ref.Namespace = pointer(gatewayv1.Namespace(secret.Namespace))
			grant := grants[secret.Namespace]
			if grant == nil {
				grant = &gatewayv1.ReferenceGrant{TypeMeta: typeMeta("ReferenceGrant")}
				grant.Namespace, grant.Name = secret.Namespace, gw.Name+"-certificates"
				grant.Spec.From = []gatewayv1.ReferenceGrantFrom{{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: gatewayv1.Namespace(gw.Namespace)}}
				grants[secret.Namespace] = grant
				out = append(out, grant)
			}
			to := gatewayv1.ReferenceGrantTo{Kind: "Secret", Name: pointer(gatewayv1.ObjectName(secret.Name))}
			if !slices.ContainsFunc(grant.Spec.To, func(t gatewayv1.ReferenceGrantTo) bool { return *t.Name == *to.Name }) {
				grant.Spec.To = append(grant.Spec.To, to)
			}
		}
		l := gatewayv1.Listener{Name: section(host), Port: 443, Protocol: gatewayv1.HTTPSProtocolType, AllowedRoutes: routes}
		l.TLS = &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{ref}}
		if host != "" {
			l.Hostname = pointer(gatewayv1.Hostname(host))
		}
		gw.Spec.Listeners = append(gw.Spec.Listeners, l)
	}
	return append(out, gw)
}

// parents attach a route to listeners of the Gateway.
func (m *migration) parents(sections ...gatewayv1.SectionName) (out []gatewayv1.ParentReference) {
	namespace := gatewayv1.Namespace(m.in.Gateway.Namespace)
	for _, name := range sections {
		if name != "" {
			out = append(out, gatewayv1.ParentReference{Name: gatewayv1.ObjectName(m.in.Gateway.Name), Namespace: &namespace, SectionName: &name})
		}
	}
	return out
}
