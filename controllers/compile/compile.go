// Package compile turns the resolved picture of the cluster and its policies into the table the
// proxy serves by. There is one file per output: listener, route, match,
// filter, backend, cert; policies have a room of their own, access.
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
	"github.com/gatehouse-dev/gatehouse/controllers/compile/access"
	"github.com/gatehouse-dev/gatehouse/controllers/compile/memo"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Compiler builds tables. Its zero value is not ready; use New. It is not for
// concurrent use.
type Compiler struct {
	// GiveWay is called every few microseconds of work; New makes it do nothing.
	GiveWay func()

	routes    routes
	hosts     hosts
	listeners memo.Map[graph.ListenerKey, *table.Listener]
	certs     memo.Map[string, *table.Certificate]
	backends  memo.Map[string, *table.Backend]
	streams   memo.Map[streamKey, *table.Stream]
	policies  *access.Policies
	clients   map[types.NamespacedName]graph.Client // what Gateways show to backends, those that show or cannot show any
}

// New returns a Compiler that remembers nothing.
func New() *Compiler {
	return &Compiler{
		GiveWay: func() {}, policies: access.New(asked),
		routes: routes{byName: map[graph.ObjectKey]*compiledRoute{}},
		hosts:  hosts{byName: map[hostKey]*host{}, lists: map[graph.ListenerKey][]*table.Host{}},
	}
}

// Compile builds the table of g, with its policies. It never changes them or an
// earlier table.
func (c *Compiler) Compile(g *graph.Graph, p *attach.Policies) *table.Table {
	c.turn()
	c.clients = clients(g)
	routes, changed := c.compileRoutes(g, p)
	c.compileHosts(changed)
	t := &table.Table{Listeners: c.compileListeners(g), Backends: c.addStreamBackends(c.compileBackends(routes), g)}
	for _, r := range routes {
		t.Rejected = append(t.Rejected, r.rejected...)
	}
	t.Rejected = append(t.Rejected, ingressRejections(g)...)
	t.Rejected = append(t.Rejected, streamRejections(g)...)
	t.Rejected = append(t.Rejected, clientRejections(g)...)
	t.KeySets = c.policies.KeySets()
	t.Rejected = append(t.Rejected, c.policies.Rejections()...)
	return t
}

func (c *Compiler) turn() {
	c.listeners.Turn()
	c.certs.Turn()
	c.backends.Turn()
	c.streams.Turn()
	c.policies.Turn()
}
