//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// balance stands in for a cloud's load balancer: it gives Services of type LoadBalancer addresses, and kube-proxy does the rest. It runs
// until it is killed.
func (h home) balance(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", h.kubeconfig())
	if err != nil {
		return err
	}
	c, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		return err
	}
	for ; ; time.Sleep(500 * time.Millisecond) {
		if err := assignAll(ctx, c); err != nil {
			fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), err) // the API server may be away
		}
	}
}

// assignAll gives addresses until the watch ends.
func assignAll(ctx context.Context, c client.WithWatch) error {
	var services corev1.ServiceList
	changes, err := c.Watch(ctx, &services)
	if err != nil {
		return err
	}
	defer changes.Stop()
	for range changes.ResultChan() {
		// The list has what the event brought and says which addresses are taken. There are few Services, and fewer changes.
		if err := c.List(ctx, &services); err != nil {
			return err
		}
		for i := range services.Items {
			s := &services.Items[i]
			address := choose(services.Items, s)
			if !address.IsValid() {
				continue
			}
			before := s.DeepCopy()
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String()}}
			if err := c.Status().Patch(ctx, s, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
				return err
			}
			fmt.Println(time.Now().Format(time.TimeOnly), s.Namespace+"/"+s.Name, address)
		}
	}
	return nil
}

// choose returns the address a Service is to get, invalid if it needs none or there is none. One that asks for an address gets that or
// none. Services of another class belong to somebody else.
func choose(all []corev1.Service, s *corev1.Service) (none netip.Addr) {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || s.Spec.LoadBalancerClass != nil {
		return none
	}
	have, want := "", s.Spec.LoadBalancerIP
	if in := s.Status.LoadBalancer.Ingress; len(in) > 0 {
		have = in[0].IP
	}
	if have != "" && (want == "" || want == have) {
		return none
	}
	taken := map[string]bool{}
	for _, other := range all {
		for _, in := range other.Status.LoadBalancer.Ingress {
			taken[in.IP] = true
		}
	}
	for a, last := netip.MustParseAddr(poolFirst), netip.MustParseAddr(poolLast); a.Compare(last) <= 0; a = a.Next() {
		if (want == "" || want == a.String()) && !taken[a.String()] {
			return a
		}
	}
	return none
}
