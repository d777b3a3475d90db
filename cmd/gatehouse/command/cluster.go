package command

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/replicas"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// cluster is one API server, as run uses it.
type cluster struct {
	watch     *watch.Watch
	client    client.Client // reads come from the watches
	live      client.Reader // reads go to the server
	clientset *kubernetes.Clientset
	addresses []string // at which callers reach the Gateways
	bundle    string   // release of the Gateway API's definitions, "" if they do not say
}

func newCluster(ctx context.Context, config *rest.Config, r *running) (*cluster, error) {
	scheme := watch.Scheme()
	c := &cluster{addresses: r.addresses}
	var err error
	if c.watch, err = watch.New(config, scheme); err != nil {
		return nil, err
	}
	live, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	c.live = live
	c.client, err = client.New(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: c.watch.Cache}})
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	if c.clientset, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	if c.bundle, err = bundle(ctx, c.live); err != nil {
		return nil, err
	}
	if len(c.addresses) == 0 && r.node != "" && r.gateways == byHost {
		c.addresses, err = nodeAddresses(ctx, c.live, r.node)
	}
	return c, err
}

// bundle is the release of the Gateway API whose definitions the cluster has; "" if
// they do not say, or a role does not let it be read: only a condition is made of it.
func bundle(ctx context.Context, c client.Reader) (string, error) {
	definition := &metav1.PartialObjectMetadata{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err := c.Get(ctx, client.ObjectKey{Name: "gatewayclasses." + gatewayv1.GroupName}, definition)
	if err != nil && !apierrors.IsForbidden(err) {
		return "", fmt.Errorf("reading the version of the Gateway API's definitions: %w", err)
	}
	return definition.Annotations["gateway.networking.k8s.io/bundle-version"], nil
}

// events returns what tells people of an object's faults, and what ends it.
func (c *cluster) events() (tell func(about client.Object, reason, message string), stop func()) {
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: c.clientset.EventsV1()})
	done := make(chan struct{})
	broadcaster.StartRecordingToSink(done)
	recorder := broadcaster.NewRecorder(watch.Scheme(), "gatehouse")
	tell = func(about client.Object, reason, message string) {
		recorder.Eventf(about, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", message)
	}
	return tell, func() {
		close(done)
		broadcaster.Shutdown()
	}
}

// nodeAddresses are the addresses callers reach a node at: its external IPs if
// it has any, else its internal ones. In host-network mode they are the Gateways'.
func nodeAddresses(ctx context.Context, c client.Reader, name string) ([]string, error) {
	var node corev1.Node
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return nil, fmt.Errorf("reading the addresses of node %s: %w", name, err)
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		var out []string
		for _, a := range node.Status.Addresses {
			if a.Type == kind {
				out = append(out, a.Address)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, nil
}

// release returns what goes when Gatehouse is uninstalled: the Lease, which Helm
// counts to the release. What is made at run time can go with it. Without
// elections there is none.
func (r *running) release(c *cluster) func(context.Context) []metav1.OwnerReference {
	return func(ctx context.Context) []metav1.OwnerReference {
		lease := &metav1.PartialObjectMetadata{}
		lease.SetGroupVersionKind(schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"})
		if !r.elect || c.live.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: replicas.Lease}, lease) != nil {
			return nil
		}
		return []metav1.OwnerReference{{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Name: replicas.Lease, UID: lease.UID}}
	}
}
