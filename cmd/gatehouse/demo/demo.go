// Package demo makes up what a gateway on one machine lacks: backends for
// annotated Services, an issuer of tokens, and a certificate. It listens on
// loopback addresses only and keeps nothing.
//
// cmd/gatehouse calls it for `standalone --demo`, with the Services the
// manifests hold, and hands the objects it returns to the pipeline beside them.
//
// The annotations of a Service:
//
//	demo.gatehouse.dev/backend: echo    two endpoints, which answer with what they were sent
//	                            slow    one endpoint, which does so after a delay
//	                            issuer  one endpoint, which issues tokens
//	demo.gatehouse.dev/delay: 3s                 of slow
//	demo.gatehouse.dev/address: 127.0.0.1:9902   of issuer, whose address is part of its name
package demo

import (
	"cmp"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations that are read.
const (
	annotationBackend = "demo.gatehouse.dev/backend"
	annotationDelay   = "demo.gatehouse.dev/delay"
	annotationAddress = "demo.gatehouse.dev/address"
)

const defaultDelay = 3 * time.Second

// Demo is the backends of a set of Services, as they run. Its methods may be
// called from any goroutine.
type Demo struct {
	key     *ecdsa.PrivateKey // signs tokens
	keyID   string
	certPEM []byte
	keyPEM  []byte
	idle    bool // nobody calls the backends: they have addresses and do not listen

	mu       sync.Mutex
	services map[string]*service // by namespace/name
	closed   bool
}

// service is one Service's backends.
type service struct {
	object *corev1.Service
	want   wish
	pods   []*pod
}

// wish is what a Service's annotations ask for.
type wish struct {
	kind    string
	delay   time.Duration
	address string
}

// Start starts backends for those of services that are annotated. An error
// names the Service and what is wrong with it; nothing runs then.
func Start(services []*corev1.Service) (*Demo, error) {
	return begin(&Demo{}, services)
}

// Pretend is Start for who only wants to know what there would be: nothing listens, so
// that it does not matter what else does.
func Pretend(services []*corev1.Service) (*Demo, error) {
	return begin(&Demo{idle: true}, services)
}

func begin(d *Demo, services []*corev1.Service) (*Demo, error) {
	var err error
	if d.key, d.keyID, err = newKey(); err != nil {
		return nil, err
	}
	if d.certPEM, d.keyPEM, err = newCertificate(time.Now()); err != nil {
		return nil, err
	}
	if err := d.Update(services); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Update makes the backends those of services: what is new is started, what is
// gone is stopped, what is unchanged keeps its addresses. Services at fault are
// named in the error and have no backends.
func (d *Demo) Update(services []*corev1.Service) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("the demo backends have been stopped")
	}
	var faults []error
	last := d.services
	d.services = map[string]*service{}
	wanted := map[string]wish{}
	for _, object := range services {
		want, err := wishOf(object)
		name := object.Namespace + "/" + object.Name
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("service %s: %w", name, err))
		case want.kind != "":
			wanted[name] = want
			if old := last[name]; old != nil && old.want == want {
				d.services[name] = &service{object: object, want: want, pods: old.pods}
				delete(last, name)
			}
		}
	}
	for _, gone := range last { // first, so that a fixed address can move to another Service
		gone.stop()
	}
	for _, object := range services {
		name := object.Namespace + "/" + object.Name
		want, ok := wanted[name]
		if !ok || d.services[name] != nil {
			continue
		}
		s := &service{object: object, want: want}
		if err := d.start(s); err != nil {
			s.stop()
			faults = append(faults, fmt.Errorf("service %s: %w", name, err))
			continue
		}
		d.services[name] = s
	}
	return errors.Join(faults...)
}

// wishOf reads a Service's annotations; the kind is empty where there are none.
func wishOf(s *corev1.Service) (wish, error) {
	w := wish{kind: s.Annotations[annotationBackend]}
	delay, address := s.Annotations[annotationDelay], s.Annotations[annotationAddress]
	switch w.kind {
	case "":
		return w, nil
	case "echo":
	case "slow":
		w.delay = defaultDelay
		if delay != "" {
			var err error
			if w.delay, err = time.ParseDuration(delay); err != nil || w.delay <= 0 {
				return w, fmt.Errorf("annotation %s: %q is not a duration; write 3s", annotationDelay, delay)
			}
		}
	case "issuer":
		a, err := netip.ParseAddrPort(address)
		if err != nil || !a.Addr().IsLoopback() {
			return w, fmt.Errorf("annotation %s: %q is not a loopback address with a port; write 127.0.0.1:9902", annotationAddress, address)
		}
		w.address = address
	default:
		return w, fmt.Errorf("annotation %s: %q is not known; use echo, slow or issuer", annotationBackend, w.kind)
	}
	return w, nil
}

// start starts what s wants.
func (d *Demo) start(s *service) error {
	handler, count, address := echo(s.object.Name, s.want.delay), 1, "127.0.0.1:0"
	switch s.want.kind {
	case "echo":
		count = 2 // so that balancing shows
	case "issuer":
		handler, address = d.issuer(s.want.address), s.want.address
	}
	start := startPod
	if d.idle {
		start = idlePod
	}
	for i := range count {
		p, err := start(s.object.Name+"-"+strconv.Itoa(i+1), address, handler)
		if err != nil {
			return err
		}
		s.pods = append(s.pods, p)
	}
	return nil
}

func (s *service) stop() {
	for _, p := range s.pods {
		p.stop()
	}
}

// EndpointSlices returns the addresses of the backends, by Service and pod. The
// same backends give the same slices.
func (d *Demo) EndpointSlices() []*discoveryv1.EndpointSlice {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*discoveryv1.EndpointSlice
	for _, s := range d.services {
		for _, p := range s.pods {
			out = append(out, s.slice(p))
		}
	}
	slices.SortFunc(out, func(a, b *discoveryv1.EndpointSlice) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// slice is one pod's slice: pods differ in their ports, which belong to a slice.
func (s *service) slice(p *pod) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.object.Namespace,
			Name:      "demo-" + p.name,
			Labels: map[string]string{
				discoveryv1.LabelServiceName: s.object.Name,
				discoveryv1.LabelManagedBy:   "demo.gatehouse.dev",
			},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{p.address.Addr().String()},
			Conditions: discoveryv1.EndpointConditions{
				Ready: new(true), Serving: new(true), Terminating: new(false),
			},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: s.object.Namespace, Name: p.name},
		}},
	}
	if p.address.Addr().Is6() {
		out.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, port := range s.object.Spec.Ports {
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{
			Name: new(port.Name), Protocol: new(corev1.ProtocolTCP), Port: new(int32(p.address.Port())), AppProtocol: port.AppProtocol,
		})
	}
	return out
}

// Close stops everything, and returns when it has stopped.
func (d *Demo) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.services {
		s.stop()
	}
	d.services, d.closed = nil, true
}
