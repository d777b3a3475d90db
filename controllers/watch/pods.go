package watch

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Pods watches the pods of one namespace that a selector takes: gatehouse's own.
type Pods struct {
	// Cache answers reads of these pods, and of nothing else, from memory.
	Cache cache.Cache
}

// NewPods returns Pods that have not started.
func NewPods(config *rest.Config, scheme *runtime.Scheme, namespace string, selector labels.Selector) (*Pods, error) {
	c, err := cache.New(config, cache.Options{
		Scheme:           scheme,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Namespaces: map[string]cache.Config{namespace: {LabelSelector: selector}}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the watch of pods: %w", err)
	}
	return &Pods{c}, nil
}

// Run watches, and calls changed after every change, until ctx ends.
func (p *Pods) Run(ctx context.Context, changed func()) error {
	informer, err := p.Cache.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	return p.Cache.Start(ctx)
}
