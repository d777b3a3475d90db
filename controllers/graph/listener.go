package graph

import (
	"cmp"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

type listenerInput struct {
	gateway  *holder
	index    int
	taken    *taken
	conflict *spec.Problem
}

// listener resolves one listener: all its conditions but Programmed, and whether
// it could serve if its Gateway can.
func (b *Builder) listener(r *store.Reader, in listenerInput) *Listener {
	of := &in.gateway.Spec.Listeners[in.index]
	kinds, badKinds := spec.Kinds(of, in.index)
	l := &Listener{
		Key:            in.gateway.key(of),
		Spec:           of,
		Hostname:       spec.Host(of),
		SupportedKinds: kinds,
	}
	refused := cmp.Or(in.conflict, spec.Listener(in.gateway.Gateway, in.index), in.lost())
	unresolved := badKinds
	if of.Protocol == gatewayv1.HTTPSProtocolType {
		clients, untrusting, bad := b.clients(r, in.gateway, of.Port)
		l.Clients, refused = clients, cmp.Or(refused, untrusting)
		unresolved = append(unresolved, bad...)
	}
	if spec.Terminates(of) {
		var bad []*spec.Problem
		l.Certificates, bad = b.certificates(r, in)
		unresolved = append(unresolved, bad...)
	}
	l.usable = refused == nil && (!spec.Terminates(of) || len(l.Certificates) > 0)
	l.Serves = l.usable
	l.Conditions = listenerConditions(refused, in.conflict, spec.Sentences(unresolved))
	return l
}

func listenerConditions(refused, conflict, unresolved *spec.Problem) []metav1.Condition {
	accepted := yes(gatewayv1.ListenerConditionAccepted, gatewayv1.ListenerReasonAccepted, "the listener is accepted")
	if refused != nil {
		accepted = no(gatewayv1.ListenerConditionAccepted, refused.Reason, refused.Text)
	}
	conflicted := no(gatewayv1.ListenerConditionConflicted, gatewayv1.ListenerReasonNoConflicts, "the listener is distinct from the others")
	if conflict != nil {
		conflicted = yes(gatewayv1.ListenerConditionConflicted, conflict.Reason, conflict.Text)
	}
	resolved := yes(gatewayv1.ListenerConditionResolvedRefs, gatewayv1.ListenerReasonResolvedRefs, "all references are resolved")
	if unresolved != nil {
		resolved = no(gatewayv1.ListenerConditionResolvedRefs, unresolved.Reason, unresolved.Text)
	}
	return []metav1.Condition{accepted, conflicted, resolved}
}

func listenerProgrammed(serves bool) metav1.Condition {
	if serves {
		return yes(gatewayv1.ListenerConditionProgrammed, gatewayv1.ListenerReasonProgrammed, "the listener serves")
	}
	return no(gatewayv1.ListenerConditionProgrammed, gatewayv1.ListenerReasonInvalid, "the listener cannot serve; see the other conditions and those of the Gateway")
}

// lost says what an older Gateway has against the listener.
func (in listenerInput) lost() *spec.Problem {
	l := &in.gateway.Spec.Listeners[in.index]
	key := in.gateway.key(l)
	if in.taken == nil || in.taken.listeners[key] == "" {
		return nil
	}
	return spec.Problemf(gatewayv1.ListenerReasonPortUnavailable, "spec.listeners[%d].port: the older Gateway listener %s has port %d; choose another port or hostname",
		in.index, in.taken.listeners[key], l.Port)
}

// overlapping marks the HTTPS listeners of one port that a client may take for
// one another, because it reuses a connection for every host that the certificate
// it was shown is for (GEP-3567): those whose certificates are for the same
// hosts, and those whose own hosts overlap.
func overlapping(listeners []*Listener) {
	var all []*Listener
	var secured []spec.Secured
	for _, l := range listeners {
		if l.Spec.Protocol == gatewayv1.HTTPSProtocolType {
			of := spec.Secured{Port: l.Spec.Port, Host: l.Hostname}
			for _, c := range l.Certificates {
				of.Names = append(of.Names, c.Names...)
			}
			all, secured = append(all, l), append(secured, of)
		}
	}
	names, hosts := spec.Overlaps(secured)
	for i, l := range all {
		if at := names[i]; at != spec.NoOther {
			l.Conditions = append(l.Conditions, yes(gatewayv1.ListenerConditionOverlappingTLSConfig, gatewayv1.ListenerReasonOverlappingCertificates,
				fmt.Sprintf("a certificate is for hosts that one of listener %s on the same port is for too", all[at].Spec.Name)))
		} else if at := hosts[i]; at != spec.NoOther {
			l.Conditions = append(l.Conditions, yes(gatewayv1.ListenerConditionOverlappingTLSConfig, gatewayv1.ListenerReasonOverlappingHostnames,
				fmt.Sprintf("the hostnames overlap with those of listener %s on the same port", all[at].Spec.Name)))
		}
	}
}
