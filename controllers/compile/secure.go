package compile

import (
	"encoding/hex"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// reach is a backend as a Gateway reaches it that shows client there, or what its
// share of the requests is answered instead.
func reach(b *graph.Backend, client graph.Client) (*table.Backend, *table.Reply) {
	if b.Client != nil {
		client = *b.Client
	}
	switch {
	case b.Broken != "":
		return nil, referenceReply(b.Reason)
	case b.TLS == nil:
		return &table.Backend{ID: backendID(b), Protocol: backendProtocol(b.Protocol), Retries: retryBudget(b), Name: nameOf(b)}, nil
	case b.TLS.Refused != nil || client.Broken != "":
		return nil, &table.Reply{Status: 500, Code: "backend_tls_invalid", Detail: "What says how to reach the route's backend over TLS cannot be used."}
	}
	t := &table.BackendTLS{ServerName: b.TLS.Hostname, CAs: b.TLS.CAs}
	for _, n := range b.TLS.Names {
		if n.Type == gatewayv1.URISubjectAltNameType {
			t.SANs = append(t.SANs, table.SubjectAlt{URI: string(n.URI)})
		} else {
			t.SANs = append(t.SANs, table.SubjectAlt{Hostname: string(n.Hostname)})
		}
	}
	if c := client.Certificate; c != nil {
		t.Client = &table.Certificate{ID: c.Secret.String(), Chain: c.Chain, Key: c.Key}
	}
	// Settings that change make another backend: what is under way ends as it began.
	sum := table.Sum(t)
	return &table.Backend{ID: backendID(b) + " tls-" + hex.EncodeToString(sum[:6]), Protocol: backendProtocol(b.Protocol), TLS: t, Retries: retryBudget(b), Name: nameOf(b)}, nil
}

// unreachable says why a backend that is there is not reached; "" if it is.
func unreachable(b *graph.Backend) string {
	switch {
	case b.Broken != "":
		return b.Broken
	case b.TLS != nil && b.TLS.Refused != nil && b.External != nil:
		return "XBackend " + b.Service.String() + ": " + b.TLS.Refused.Text
	case b.TLS != nil && b.TLS.Refused != nil:
		return "BackendTLSPolicy " + b.TLS.Policy.String() + ": " + b.TLS.Refused.Text
	}
	return ""
}

// target is where requests, or copies of them, go beside; "" for nowhere.
type target string

// reachable are backends beside the request's own as a Gateway reaches them.
func reachable(asides []*graph.Backend, client graph.Client) []target {
	out := make([]target, 0, len(asides))
	for _, b := range asides {
		to := target("")
		if t, reply := reach(b, client); reply == nil {
			to = target(t.ID)
		}
		out = append(out, to)
	}
	return out
}

func clients(g *graph.Graph) map[types.NamespacedName]graph.Client {
	out := map[types.NamespacedName]graph.Client{}
	for _, gw := range g.Gateways {
		if gw.Client != (graph.Client{}) {
			out[types.NamespacedName{Namespace: gw.Object.Namespace, Name: gw.Object.Name}] = gw.Client
		}
	}
	return out
}

// clientsOf are what the Gateways of a route show to backends of TLS, one for
// each parent; all alike where the route leads to no such backend. The slice is good until the next call.
func (c *Compiler) clientsOf(r *graph.Route) []graph.Client {
	out := append(c.routes.clients[:0], make([]graph.Client, len(r.Parents))...)
	c.routes.clients = out
	if len(c.clients) == 0 || !slices.ContainsFunc(r.Rules, overTLS) {
		return out
	}
	for i, p := range r.Parents {
		out[i] = c.clients[p.Gateway]
	}
	return out
}

// overTLS says whether a rule leads to a backend of TLS.
func overTLS(rule *graph.Rule) bool {
	secured := func(list []*graph.Backend) bool {
		return slices.ContainsFunc(list, func(b *graph.Backend) bool { return b.TLS != nil })
	}
	return secured(rule.Backends) || secured(rule.Asides) ||
		slices.ContainsFunc(rule.Backends, func(b *graph.Backend) bool { return secured(b.Asides) })
}

// clientRejections lists the Gateways whose certificate for backends cannot be used.
func clientRejections(g *graph.Graph) (out []table.Rejection) {
	for _, gw := range g.Gateways {
		if gw.Client.Broken != "" {
			out = append(out, table.Rejection{
				Object: "Gateway " + gw.Object.Namespace + "/" + gw.Object.Name + " backends of TLS", Reason: gw.Client.Broken, Status: 500,
			})
		}
	}
	return out
}
