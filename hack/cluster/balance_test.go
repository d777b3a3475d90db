//go:build linux

package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestChoose(t *testing.T) {
	service := func(name, want, have string) corev1.Service {
		s := corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerIP: want}}
		s.Name = name
		if have != "" {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: have}}
		}
		return s
	}
	others := []corev1.Service{service("a", "", "10.99.0.200"), service("b", "", "10.99.0.202")}
	full := []corev1.Service{}
	for i := range 51 {
		full = append(full, service("", "", "10.99.0."+[]string{"20", "21", "22", "23", "24", "25"}[i/10]+string(rune('0'+i%10))))
	}
	for _, c := range []struct {
		name  string
		all   []corev1.Service
		s     corev1.Service
		wants string
	}{
		{"the first that is free", others, service("c", "", ""), "10.99.0.201"},
		{"one it asks for", others, service("c", "10.99.0.250", ""), "10.99.0.250"},
		{"another than it has", others, service("c", "10.99.0.210", "10.99.0.205"), "10.99.0.210"},
		{"one that is taken", others, service("c", "10.99.0.202", ""), "invalid IP"},
		{"one that is not of the pool", others, service("c", "192.0.2.1", ""), "invalid IP"},
		{"it has what it asks for", others, service("c", "10.99.0.210", "10.99.0.210"), "invalid IP"},
		{"it has one", others, service("c", "", "10.99.0.205"), "invalid IP"},
		{"none is left", full, service("c", "", ""), "invalid IP"},
	} {
		if got := choose(c.all, &c.s); got.String() != c.wants {
			t.Errorf("%s: got %s; want %s", c.name, got, c.wants)
		}
	}
	internal, foreign, class := service("c", "", ""), service("c", "", ""), "example.com/other"
	internal.Spec.Type, foreign.Spec.LoadBalancerClass = corev1.ServiceTypeClusterIP, &class
	for _, s := range []corev1.Service{internal, foreign} {
		if got := choose(others, &s); got.IsValid() {
			t.Errorf("%+v gets %s", s.Spec, got)
		}
	}
}

func TestFullName(t *testing.T) {
	for name, want := range map[string]string{
		"gatehouse":                 "docker.io/library/gatehouse:latest",
		"gatehouse:next":            "docker.io/library/gatehouse:next",
		"example/echo":              "docker.io/example/echo:latest",
		"localhost:5000/echo":       "localhost:5000/echo:latest",
		"registry.k8s.io/pause:3.1": "registry.k8s.io/pause:3.1",
	} {
		if got := fullName(name); got != want {
			t.Errorf("%s is %s; want %s", name, got, want)
		}
	}
}
