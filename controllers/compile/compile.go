// Package compile turns the resolved picture of the cluster and its policies into the table the
// proxy serves by. There is one file per output: listener, route, match,
// filter, backend, cert, auth, validation.
//
// The pipeline calls Compiler.Compile with every new Graph. It calls nothing
// but proxy/table; it reads no clock, does no I/O and never fails: what cannot
// be used becomes an answer in the table and a line in Table.Rejected.
//
// A Compiler remembers its last build. What a change did not touch comes back
// as the same pointers, so the proxy keeps what it built from them: an Action
// while its rule and its policies are the same nodes, a Host while its members
// are, a Listener, Backend, Certificate, Auth, Validation or KeySet while its
// content is; so a Stream.
package compile

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Compiler builds tables. Its zero value is not ready; use New. It is not for
// concurrent use.
type Compiler struct {
	routes    memo[graph.ObjectKey, *compiledRoute]
	hosts     memo[hostKey, *host]
	listeners memo[graph.ListenerKey, *table.Listener]
	certs     memo[string, *table.Certificate]
	backends  memo[string, *table.Backend]
	streams   memo[streamKey, *table.Stream]
	policies  policyMemo
	clients   map[types.NamespacedName]graph.Client // what Gateways show to backends, those that show or cannot show any
}

// New returns a Compiler that remembers nothing.
func New() *Compiler { return &Compiler{} }

// Compile builds the table of g, with its policies, from nothing.
func Compile(g *graph.Graph, p *attach.Policies) *table.Table { return New().Compile(g, p) }

// Compile builds the table of g, with its policies. It never changes them or an
// earlier table.
func (c *Compiler) Compile(g *graph.Graph, p *attach.Policies) *table.Table {
	c.turn()
	c.clients = clients(g)
	routes := c.compileRoutes(g, p)
	t := &table.Table{Listeners: c.compileListeners(g, routes), Backends: c.addStreamBackends(c.compileBackends(routes), g)}
	for _, r := range routes {
		t.Rejected = append(t.Rejected, r.rejected...)
	}
	t.Rejected = append(t.Rejected, ingressRejections(g)...)
	t.Rejected = append(t.Rejected, streamRejections(g)...)
	t.Rejected = append(t.Rejected, clientRejections(g)...)
	t.KeySets = c.policies.used()
	t.Rejected = append(t.Rejected, c.policies.rejections()...)
	return t
}

func (c *Compiler) turn() {
	c.routes.turn()
	c.hosts.turn()
	c.listeners.turn()
	c.certs.turn()
	c.backends.turn()
	c.streams.turn()
	c.policies.turn()
}

// memo keeps values by key from one build to the next. What a build does not
// ask for is forgotten with the next one.
type memo[K comparable, V any] struct {
	last, now map[K]V
}

func (m *memo[K, V]) turn() {
	m.last, m.now = m.now, make(map[K]V, len(m.now))
}

// get returns the value of k, building it if the last build had none.
func (m *memo[K, V]) get(k K, build func() V) V {
	if v, ok := m.now[k]; ok {
		return v
	}
	v, ok := m.last[k]
	if !ok {
		v = build()
	}
	m.now[k] = v
	return v
}

// keep returns this or the last build's value of k if it is the same as v, else v.
func (m *memo[K, V]) keep(k K, v V, same func(a, b V) bool) V {
	if now, ok := m.now[k]; ok && same(now, v) {
		return now
	}
	if old, ok := m.last[k]; ok && same(old, v) {
		v = old
	}
	m.now[k] = v
	return v
}
