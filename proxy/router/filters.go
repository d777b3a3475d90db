package router

import (
	"errors"

	"github.com/gatehouse-dev/gatehouse/proxy/filter"
	"github.com/gatehouse-dev/gatehouse/proxy/filter/cors"
	"github.com/gatehouse-dev/gatehouse/proxy/filter/headers"
	"github.com/gatehouse-dev/gatehouse/proxy/filter/redirect"
	"github.com/gatehouse-dev/gatehouse/proxy/filter/rewrite"
	"github.com/gatehouse-dev/gatehouse/proxy/match"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// buildChain makes filters in their order, and returns the one among them that
// must see requests before authentication. The first that cannot be made is the
// error.
func (b *builder) buildChain(from []table.Filter) (chain filter.Chain, share *cors.Filter, err error) {
	for i := range from {
		if from[i].Mirror != nil {
			continue // it sends, so it is no filter of the chain: see buildMirrors
		}
		f, err := b.buildFilter(&from[i])
		if err != nil {
			return filter.Chain{}, nil, err
		}
		chain.Append(f)
		if c, ok := f.(*cors.Filter); ok {
			share = c
		}
	}
	return chain, share, nil
}

// buildFilter is the list of all filters there are.
func (b *builder) buildFilter(t *table.Filter) (any, error) {
	switch {
	case t.RequestHeaders != nil:
		return headers.NewRequest(t.RequestHeaders)
	case t.ResponseHeaders != nil:
		return headers.NewResponse(t.ResponseHeaders)
	case t.Redirect != nil:
		r := *t.Redirect
		r.Path = asMatched(r.Path)
		return redirect.New(&r)
	case t.Rewrite != nil:
		r := *t.Rewrite
		r.Path = asMatched(r.Path)
		return rewrite.New(&r)
	case t.CORS != nil:
		return cors.New(t.CORS)
	case t.ExternalAuth != nil:
		return b.owners.Guard.External(t.ExternalAuth)
	}
	return nil, errors.New("a filter is of no known kind")
}

// asMatched returns an edit with the prefix it replaces in the form that the
// paths of requests have.
func asMatched(t *table.PathEdit) *table.PathEdit {
	if t == nil {
		return nil
	}
	edit := *t
	edit.Matched = match.Prefix(t.Matched)
	return &edit
}
