package graph

import "github.com/gatehouse-dev/gatehouse/controllers/store"

// policyMemos is what the policies keep from one build to the next.
type policyMemos struct{}

// policies attaches the policies to the Graph.
func (b *Builder) policies(*store.Store, *Graph) {}
