package compile

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compileBackends returns every backend that a route may send to or a policy
// asks, by ID. The policies of the table are known by then.
func (c *Compiler) compileBackends(routes []*compiledRoute) []*table.Backend {
	var out []*table.Backend
	add := func(list []*table.Backend) {
		for _, b := range list {
			if _, seen := c.backends.Now[b.ID]; !seen {
				out = append(out, c.backends.Keep(b.ID, b, sameBackend))
			}
		}
	}
	for _, r := range routes {
		c.GiveWay()
		add(r.backends)
	}
	add(c.policies.Backends())
	slices.SortFunc(out, func(a, b *table.Backend) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// sameBackend compares two backends of one ID, which tells their TLS settings apart.
func sameBackend(a, b *table.Backend) bool {
	return a.ID == b.ID && a.Protocol == b.Protocol && a.Name == b.Name && (a.Retries == b.Retries || a.Retries != nil && b.Retries != nil && *a.Retries == *b.Retries)
}

// retryBudget is the one of the backend's Service, for all its ports together; nil
// for none.
func retryBudget(b *graph.Backend) *table.RetryBudget {
	if b.Traffic == nil || b.Traffic.Retries == nil {
		return nil
	}
	r := b.Traffic.Retries
	return &table.RetryBudget{ID: b.Service.String(), Percent: r.Percent, Interval: r.Interval, Least: r.Least, LeastInterval: r.LeastInterval}
}

// appendBackends adds the backends of a rule that are not there yet, as the
// Gateways of these clients reach them.
func appendBackends(list []*table.Backend, rule *graph.Rule, clients []graph.Client) []*table.Backend {
	all := slices.Concat(rule.Backends, rule.Asides)
	for _, b := range rule.Backends {
		all = append(all, b.Asides...)
	}
	for _, b := range all {
		for _, client := range clients {
			t, reply := reach(b, client)
			if reply == nil && !slices.ContainsFunc(list, func(have *table.Backend) bool { return have.ID == t.ID }) {
				list = append(list, t)
			}
		}
	}
	return list
}

// asked is a Service's port as policies reach it: no route sends there, and no
// Gateway has a certificate to show.
func asked(parts attach.Parts, port int32) *table.Backend {
	s := parts.Service
	b := &graph.Backend{Service: types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, Port: port, TLS: parts.TLS}
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			b.Protocol = p.AppProtocol
		}
	}
	t, _ := reach(b, graph.Client{})
	return t
}

// nameOf is where the addresses of an XBackend come from.
func nameOf(b *graph.Backend) table.Name {
	if b.External == nil {
		return table.Name{}
	}
	return table.Name{Host: b.External.Host, Port: uint16(b.Port)}
}

// backendID is namespace/service:port, with /udp behind it for a port of UDP, and
// namespace/xbackend/name:port of an XBackend.
func backendID(b *graph.Backend) string {
	id := b.Service.Namespace + "/"
	if b.External != nil {
		id += "xbackend/"
	}
	id += b.Service.Name + ":" + strconv.Itoa(int(b.Port))
	if b.UDP {
		id += "/udp"
	}
	return id
}

// backendProtocol reads a Service port's appProtocol (GEP-1911). The ones that
// cannot be spoken were refused by graph. What speaks gRPC speaks HTTP/2, whichever
// kind of route leads there.
func backendProtocol(app *string) table.BackendProtocol {
	if app != nil && (*app == "kubernetes.io/h2c" || *app == "grpc") {
		return table.BackendH2C
	}
	return table.BackendHTTP1
}

// weightedBackend compiles one backendRef. A reference that cannot be used
// keeps its share of the requests and answers them 500.
func weightedBackend(b *graph.Backend, matched string, client graph.Client) table.WeightedBackend {
	w := table.WeightedBackend{Weight: uint32(max(b.Weight, 0))}
	t, reply := reach(b, client)
	if reply != nil {
		w.Reply = reply
		return w
	}
	w.Backend = t.ID
	filters, problem := compileFilters(b.Filters, reachable(b.Asides, client), matched)
	if problem != "" {
		w.Reply = &table.Reply{Status: 500, Code: "rule_invalid", Detail: "The route's backend has a filter that cannot be used."}
		return w
	}
	w.Filters = filters
	return w
}

// referenceReply is what a caller learns of a reference that cannot be used:
// the kind of fault, never a name.
func referenceReply(reason gatewayv1.RouteConditionReason) *table.Reply {
	r := &table.Reply{Status: 500, Code: "backend_invalid", Detail: "The route's backend cannot be used."}
	switch reason {
	case gatewayv1.RouteReasonBackendNotFound:
		r.Code, r.Detail = "backend_not_found", "The route's backend does not exist."
	case gatewayv1.RouteReasonRefNotPermitted:
		r.Code, r.Detail = "ref_not_permitted", "The route may not use its backend."
	case gatewayv1.RouteReasonInvalidKind:
		r.Code, r.Detail = "backend_kind_unknown", "The route's backend is of an unknown kind."
	case gatewayv1.RouteReasonUnsupportedProtocol:
		r.Code, r.Detail = "backend_protocol_unsupported", "The route's backend speaks a protocol that is not supported."
	}
	return r
}
