package spec

import "strings"

// KindIngress is the kind, by TypeMeta, of what controllers/ingress turns
// Ingresses into: for each Ingress an HTTPRoute per host it names, and for each
// of their classes a GatewayClass and a Gateway.
const KindIngress = "Ingress"

// ownerMark stands between the name of the object that something was derived from
// and what sets the one thing apart from others. It is in no name of the cluster.
const ownerMark = ":"

// DerivedName is the name of something derived from an object.
func DerivedName(owner, part string) string { return owner + ownerMark + part }

// OwnerName is the name of the object that something of that name was derived
// from, or its own.
func OwnerName(name string) string {
	owner, _, _ := strings.Cut(name, ownerMark)
	return owner
}

// DerivedPart is what sets something derived apart; false for what is of the cluster.
func DerivedPart(name string) (part string, derived bool) {
	_, part, derived = strings.Cut(name, ownerMark)
	return part, derived
}
