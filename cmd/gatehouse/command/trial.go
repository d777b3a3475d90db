package command

import (
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/compile"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// trial builds what a set of objects would amount to, apart from what serves. It
// keeps what did not change, as the pipeline does.
type trial struct {
	store    *store.Store
	graph    *graph.Builder
	attach   *attach.Builder
	compiler *compile.Compiler
	held     map[controllers.ObjectKey]bool
	checks   bool // only: no table is made
}

func newTrial(c control) *trial {
	return &trial{store: store.New(), graph: graph.NewBuilder(c.graph), attach: attach.NewBuilder(c.attach), compiler: compile.New()}
}

// build makes the store hold these objects and no others, and builds. The table is nil
// where only checks are asked for.
func (t *trial) build(objects []controllers.Object) (*graph.Graph, *attach.Policies, *table.Table) {
	held := make(map[controllers.ObjectKey]bool, len(objects))
	for _, o := range objects {
		held[controllers.KeyOf(o)] = true
		t.store.Apply(o)
	}
	for n := range t.held {
		if !held[n] {
			t.store.Delete(n.Kind, n.Name)
		}
	}
	t.held = held
	g := t.graph.Build(t.store)
	p := t.attach.Build(t.store, g)
	if t.checks {
		return g, p, nil
	}
	return g, p, t.compiler.Compile(g, p)
}
