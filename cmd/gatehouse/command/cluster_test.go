package command

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// refusing is an API server that refuses to be read.
type refusing struct {
	client.Reader

	err error
}

func (r refusing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return r.err
}

// TestBundle: a role that leaves the definitions out costs a condition; an API
// server that cannot answer now is asked again.
func TestBundle(t *testing.T) {
	definitions := schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	if release, err := bundle(t.Context(), refusing{err: apierrors.NewForbidden(definitions, "gatewayclasses", nil)}); err != nil || release != "" {
		t.Errorf("forbidden: %q, %v", release, err)
	}
	if _, err := bundle(t.Context(), refusing{err: apierrors.NewServiceUnavailable("starting")}); err == nil {
		t.Error("unavailable: no error")
	}
}
