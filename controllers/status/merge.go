package status

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// maxConditions is how many the schemas have room for.
const maxConditions = 8

// The bytes that texts may have: the schemas take 32768 characters of a condition's
// message, the API server 1024 bytes of an Event's note.
const (
	maxMessage = 32 << 10
	maxNote    = 1 << 10
)

// cut is a text that may have so many bytes. Of a longer one the end is left out: it
// would be refused with all that stands beside it.
func cut(text string, room int) string {
	if len(text) <= room {
		return text
	}
	const more = " ..."
	return strings.ToValidUTF8(text[:room-len(more)], "") + more
}

// merger puts what is desired into what there is.
type merger struct {
	controller gatewayv1.GatewayController
	now        metav1.Time
}

// standard are the condition types that are ours to write and to remove, beside
// those under our own prefix. Others' conditions stay, where they stand.
var standard = []string{
	string(gatewayv1.GatewayConditionAccepted),
	string(gatewayv1.GatewayConditionProgrammed),
	string(gatewayv1.GatewayConditionInsecureFrontendValidationMode),
	string(gatewayv1.ListenerConditionResolvedRefs),
	string(gatewayv1.ListenerConditionConflicted),
	string(gatewayv1.ListenerConditionOverlappingTLSConfig),
	string(gatewayv1.RouteConditionPartiallyInvalid),
	string(gatewayv1.GatewayClassConditionStatusSupportedVersion),
	string(spec.ConditionDefaultGateway),
}

func isOurs(kind string) bool {
	return slices.Contains(standard, kind) || strings.HasPrefix(kind, ownPrefix)
}

// conditions merges by type. A time moves only when the status of its condition
// does; a condition that is about a newer generation than ours stays. Where
// there is no room, the last of what is desired are left out: they are the least
// important.
func (m merger) conditions(have, want []metav1.Condition) []metav1.Condition {
	out := make([]metav1.Condition, 0, max(len(have), len(want)))
	want = slices.Clone(want)
	for i := range want {
		want[i].Message = cut(want[i].Message, maxMessage)
	}
	for _, c := range have {
		i := indexOf(want, c.Type)
		switch {
		case i < 0 && isOurs(c.Type):
			continue
		case i < 0 || c.ObservedGeneration > want[i].ObservedGeneration:
			out = append(out, c)
		default:
			next := want[i]
			next.LastTransitionTime = c.LastTransitionTime
			if c.Status != next.Status || c.LastTransitionTime.IsZero() {
				next.LastTransitionTime = m.now
			}
			out = append(out, next)
		}
	}
	for _, c := range want {
		if len(out) < maxConditions && indexOf(have, c.Type) < 0 {
			c.LastTransitionTime = m.now
			out = append(out, c)
		}
	}
	return out
}

func indexOf(list []metav1.Condition, kind string) int {
	return slices.IndexFunc(list, func(c metav1.Condition) bool { return c.Type == kind })
}

func (m merger) class(have *gatewayv1.GatewayClassStatus, want *gatewayv1.GatewayClassStatus) {
	have.Conditions = m.conditions(have.Conditions, want.Conditions)
	have.SupportedFeatures = want.SupportedFeatures
}

func (m merger) gateway(have *gatewayv1.GatewayStatus, want *gatewayv1.GatewayStatus) {
	have.Addresses = want.Addresses
	have.Conditions = m.conditions(have.Conditions, want.Conditions)
	have.AttachedListenerSets = want.AttachedListenerSets
	have.Listeners = m.listeners(have.Listeners, want.Listeners)
}

func (m merger) listeners(have, want []gatewayv1.ListenerStatus) []gatewayv1.ListenerStatus {
	listeners := make([]gatewayv1.ListenerStatus, 0, len(want))
	for _, l := range want {
		var was []metav1.Condition
		for i := range have {
			if have[i].Name == l.Name {
				was = have[i].Conditions
			}
		}
		l.Conditions = m.conditions(was, l.Conditions)
		listeners = append(listeners, l)
	}
	return listeners
}

// parents keeps the entries of other controllers where they stand, renews ours
// and removes those that are no longer wanted.
func (m merger) parents(have, want []gatewayv1.RouteParentStatus) []gatewayv1.RouteParentStatus {
	return entries(have, want, spec.MaxParents, entry[gatewayv1.RouteParentStatus]{
		ours:  func(e gatewayv1.RouteParentStatus) bool { return e.ControllerName == m.controller },
		about: func(e gatewayv1.RouteParentStatus) gatewayv1.ParentReference { return e.ParentRef },
		merge: func(have, want gatewayv1.RouteParentStatus) gatewayv1.RouteParentStatus {
			want.Conditions = m.conditions(have.Conditions, want.Conditions)
			return want
		},
	})
}

// ancestors does for policies what parents does for routes.
func (m merger) ancestors(have, want []gatewayv1.PolicyAncestorStatus) []gatewayv1.PolicyAncestorStatus {
	return entries(have, want, spec.MaxAncestors, entry[gatewayv1.PolicyAncestorStatus]{
		ours:  func(e gatewayv1.PolicyAncestorStatus) bool { return e.ControllerName == m.controller },
		about: func(e gatewayv1.PolicyAncestorStatus) gatewayv1.ParentReference { return e.AncestorRef },
		merge: func(have, want gatewayv1.PolicyAncestorStatus) gatewayv1.PolicyAncestorStatus {
			want.Conditions = m.conditions(have.Conditions, want.Conditions)
			return want
		},
	})
}

// entry says how to treat one kind of entry.
type entry[T any] struct {
	ours  func(T) bool
	about func(T) gatewayv1.ParentReference
	merge func(have, want T) T
}

func entries[T any](have, want []T, room int, e entry[T]) []T {
	find := func(list []T, ref gatewayv1.ParentReference) int {
		return slices.IndexFunc(list, func(o T) bool { return e.ours(o) && equality.Semantic.DeepEqual(e.about(o), ref) })
	}
	out := make([]T, 0, max(len(have), len(want)))
	for _, h := range have {
		if !e.ours(h) {
			out = append(out, h)
		} else if i := find(want, e.about(h)); i >= 0 && find(out, e.about(h)) < 0 {
			out = append(out, e.merge(h, want[i]))
		}
	}
	var none T
	for _, w := range want {
		if len(out) < room && find(out, e.about(w)) < 0 {
			out = append(out, e.merge(none, w))
		}
	}
	return out
}
