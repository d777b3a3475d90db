package watch

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
)

// Object is a Kubernetes object.
type Object = client.Object

// Sink is told of objects; the pipeline is one.
type Sink struct {
	Upsert func(Object)
	Delete func(Object)
	Synced func() // once, after every object there was has been told
}

// kinds are the kinds the gateway is made from, and where their definitions come
// from when the cluster lacks them.
func kinds() []client.Object {
	return []client.Object{
		&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, &gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}, &gatewayv1.ReferenceGrant{}, &gatewayv1.BackendTLSPolicy{},
		&gatewayv1.TLSRoute{}, &gatewayv1.TCPRoute{}, &gatewayv1.UDPRoute{},
		&networkingv1.Ingress{}, &networkingv1.IngressClass{},
		&v1alpha1.AuthPolicy{}, &v1alpha1.ValidationPolicy{}, &v1alpha1.GatewayParameters{},
		&gatewayxv1alpha1.XBackendTrafficPolicy{}, &gatewayxv1alpha1.XBackend{},
		&corev1.Service{}, &corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Namespace{}, &discoveryv1.EndpointSlice{},
	}
}

// ErrMissingKind is in the chain of Start's error when the cluster lacks a
// custom resource definition.
var ErrMissingKind = errors.New("missing custom resource definition")

// helmRelease is the type of the Secrets in which Helm keeps its releases.
const helmRelease = "helm.sh/release.v1"

// Watch is the informers of one API server.
type Watch struct {
	// Cache answers reads of the watched kinds from memory.
	Cache cache.Cache

	kinds  []client.Object // that the server has
	config *rest.Config
	scheme *runtime.Scheme
}

// New returns a Watch that has not started. It asks the API server only for what
// it serves: an error says in one sentence what is missing, or that the server
// cannot be reached now.
func New(config *rest.Config, scheme *runtime.Scheme) (*Watch, error) {
	kinds, err := served(config, scheme)
	if err != nil {
		return nil, err
	}
	informers, err := cache.New(config, cache.Options{
		Scheme: scheme,
		// What Helm keeps of its releases is of no use here, and up to 1 MiB each: in many clusters more than all the rest.
		ByObject:                    map[client.Object]cache.ByObject{&corev1.Secret{}: {Field: fields.OneTermNotEqualSelector("type", helmRelease)}},
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the watches: %w", err)
	}
	return &Watch{informers, kinds, config, scheme}, nil
}

// Run watches every kind and tells sink, until ctx ends. While the API server is
// away the informers retry by themselves.
func (w *Watch) Run(ctx context.Context, sink Sink) error {
	var synced []toolscache.InformerSynced
	for _, kind := range w.kinds {
		informer, err := w.Cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(handler(sink))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
		synced = append(synced, registration.HasSynced)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Cache.Start(ctx) }()
	if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		sink.Synced()
	}
	return <-ended
}

// handler tells sink what an informer saw.
func handler(sink Sink) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { sink.Upsert(o.(client.Object)) },
		UpdateFunc: func(_, o any) { sink.Upsert(o.(client.Object)) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj // the watch missed the deletion itself
			}
			sink.Delete(o.(client.Object))
		},
	}
}

// served checks that the cluster knows every kind, and returns those it does know:
// it may lack the Gateway API's experiments, which are of a group of their own.
func served(config *rest.Config, scheme *runtime.Scheme) (known []client.Object, err error) {
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	for _, kind := range kinds() {
		gvk, err := apiutil.GVKForObject(kind, scheme)
		if err != nil {
			return nil, err
		}
		_, err = mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		switch {
		case meta.IsNoMatchError(err) && gvk.Group == gatewayxv1alpha1.GroupName:
			continue
		case meta.IsNoMatchError(err):
			return nil, fmt.Errorf("%w: the cluster does not serve %s of %s; install %s and start again",
				ErrMissingKind, gvk.Kind, gvk.GroupVersion(), origin(gvk.Group))
		case err != nil:
			return nil, fmt.Errorf("asking the API server for %s: %w", gvk.Kind, err)
		}
		known = append(known, kind)
	}
	return known, nil
}

// origin says where the definitions of a group come from.
func origin(group string) string {
	if group == v1alpha1.GroupName {
		return "Gatehouse's CRDs (kubectl apply --server-side -f config/crd/bases)"
	}
	return "the Gateway API CRDs, v1.6 or later (https://gateway-api.sigs.k8s.io)"
}
