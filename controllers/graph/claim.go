package graph

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// taken names the listeners of one Gateway whose place an older Gateway has, and
// what to say of each.
type taken struct {
	listeners map[gatewayv1.SectionName]string
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
		if class == nil || spec.Class(class) != nil || b.refused(gw) != nil || unusable != nil {
			continue
		}
		conflicts, lost := spec.Conflicts(gw), map[gatewayv1.SectionName]string{}
		var won []place
		for i := range gw.Spec.Listeners {
			l := &gw.Spec.Listeners[i]
			if conflicts[i] != nil || !spec.Speaks(l.Protocol) {
				continue
			}
			p := place{gw, l, address, spec.Host(l)}
			if by := p.lostTo(held[l.Port]); by != nil {
				lost[l.Name] = by.String()
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
func (b *Builder) sameTaken(name types.NamespacedName, lost map[gatewayv1.SectionName]string) *taken {
	if last, ok := b.claims.Last(struct{}{}); ok {
		if was := last[name]; was != nil && maps.Equal(was.listeners, lost) {
			return was
		}
	}
	return &taken{lost}
}

// place is where a listener wants to serve.
type place struct {
	gateway  *gatewayv1.Gateway
	listener *gatewayv1.Listener
	address  string // "" for all
	host     string
}

func (p place) String() string { return nameOf(p.gateway).String() + "/" + string(p.listener.Name) }

// lostTo returns what stands in the way: another protocol on the port, or the
// same host name.
func (p place) lostTo(held []place) *place {
	for i := range held {
		h := &held[i]
		apart := p.address != h.address && p.address != "" && h.address != ""
		if !apart && (h.listener.Protocol != p.listener.Protocol || h.host == p.host) {
			return h
		}
	}
	return nil
}
