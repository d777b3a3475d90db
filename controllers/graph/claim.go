package graph

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/params"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// taken names the listeners of one Gateway whose place an older Gateway has, and
// what to say of each.
type taken struct {
	listeners map[ListenerKey]string
}

// claim settles which Gateway has which port. Gateways share the addresses of
// the machine, so their listeners must be distinct across Gateways too; but one
// Gateway must not be able to switch off another's listener, so the older keeps
// it (GatewaySpec.Listeners says that within one Gateway nobody wins).
func (b *Builder) claim(r *store.Reader, _ struct{}) map[types.NamespacedName]*taken {
	gateways := slices.SortedFunc(slices.Values(r.Gateways()), func(x, y *gatewayv1.Gateway) int { return older(x, y) })
	out := map[types.NamespacedName]*taken{}
	held := map[gatewayv1.PortNumber][]place{}
	for _, gw := range gateways {
		class := b.ours(r, gw)
		address, unusable := spec.BindAddress(gw)
		if class == nil || params.Of(r, class, gw).Problem() != nil || b.refused(gw) != nil || unusable != nil {
			continue
		}
		lost := map[ListenerKey]string{}
		var won []place
		for _, p := range places(r, gw, address) {
			if by := p.lostTo(held[p.listener.Port]); by != nil {
				lost[p.key] = by.String()
			} else {
				won = append(won, p)
			}
		}
		for _, p := range won {
			held[p.listener.Port] = append(held[p.listener.Port], p)
		}
		if len(lost) > 0 {
			out[nameOf(gw)] = b.sameTaken(nameOf(gw), lost)
		}
	}
	return out
}

// sameTaken keeps the pointer of the last round while nothing changed, so that
// it can stand in a memo's key.
func (b *Builder) sameTaken(name types.NamespacedName, lost map[ListenerKey]string) *taken {
	if last, ok := b.claims.Last(struct{}{}); ok {
		if was := last[name]; was != nil && maps.Equal(was.listeners, lost) {
			return was
		}
	}
	return &taken{lost}
}

// place is where a listener wants to serve.
type place struct {
	key      ListenerKey
	listener *gatewayv1.Listener
	address  string // "" for all
}

func (p place) String() string { return p.key.ID() }

// places are those that the listeners of a Gateway and of its ListenerSets want.
// Listeners that are not distinct from those beside them want none.
func places(r *store.Reader, gw *gatewayv1.Gateway, address string) (out []place) {
	conflicts := conflictsOf(gw)
	var before []*gatewayv1.Listener
	add := func(of *holder, l *gatewayv1.Listener, conflict *spec.Problem) {
		if conflict == nil && spec.Speaks(l.Protocol) {
			out = append(out, place{of.key(l), l, address})
		}
	}
	gateway := own(gw)
	for i := range gw.Spec.Listeners {
		l := &gw.Spec.Listeners[i]
		before = append(before, l)
		add(gateway, l, conflicts[i])
	}
	for _, set := range setsOf(r, gw) {
		if !takesSet(r, gw, set.Namespace) {
			continue
		}
		of := added(gw, set)
		for i := range of.Spec.Listeners {
			l := &of.Spec.Listeners[i]
			conflict := spec.Taken(l, i, before)
			if conflict == nil {
				before = append(before, l)
			}
			add(of, l, conflict)
		}
	}
	return out
}

// lostTo returns what stands in the way: another protocol on the port, or the
// same host name.
func (p place) lostTo(held []place) *place {
	for i := range held {
		h := &held[i]
		apart := p.address != h.address && p.address != "" && h.address != ""
		if !apart && !spec.Distinct(h.listener, p.listener) {
			return h
		}
	}
	return nil
}
