package params

import (
	"cmp"
	"fmt"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
)

// minHeader is the least a head may be bounded to: browsers send more than that.
const minHeader = 1024

// Limits are what clients may use of a port of a Gateway with these parameters,
// as Of found them.
func Limits(c *v1alpha1.ClientParameters, port int32) *v1alpha1.ClientLimits {
	for i := range c.Ports {
		if c.Ports[i].Port == port {
			return &c.Ports[i].Limits
		}
	}
	return &c.Limits
}

// checkLimits finds a limit that is none.
func checkLimits(c *v1alpha1.ClientParameters) *spec.Problem {
	if p := checkLimit("spec.clients.limits", &c.Limits); p != nil {
		return p
	}
	seen := map[int32]int{}
	for i := range c.Ports {
		field, port := fmt.Sprintf("spec.clients.ports[%d]", i), c.Ports[i].Port
		if port < 1 || port > 65535 {
			return wrongf("%s.port: %d is not between 1 and 65535; mend it", field, port)
		}
		if j, ok := seen[port]; ok {
			return wrongf("%s.port: %d is that of ports[%d]; remove one", field, port, j)
		}
		seen[port] = i
		if p := checkLimit(field+".limits", &c.Ports[i].Limits); p != nil {
			return p
		}
	}
	return nil
}

func checkLimit(field string, l *v1alpha1.ClientLimits) *spec.Problem {
	return cmp.Or(
		least(field+".maxConnections", l.MaxConnections, 1),
		least(field+".maxConnectionsPerClient", l.MaxConnectionsPerClient, 1),
		least(field+".maxRequestsInFlight", l.MaxRequestsInFlight, 1),
		least(field+".maxConcurrentStreams", l.MaxConcurrentStreams, 1),
		least(field+".maxRequestHeaderBytes", l.MaxRequestHeaderBytes, minHeader),
		least(field+".maxRequestBodyBytes", l.MaxRequestBodyBytes, 1),
		passes(field+".headerTimeout", l.HeaderTimeout),
		passes(field+".bodyTimeout", l.BodyTimeout),
		passes(field+".idleTimeout", l.IdleTimeout),
		passes(field+".writeTimeout", l.WriteTimeout),
	)
}

func least[T int32 | int64](field string, v *T, least T) *spec.Problem {
	if v == nil || *v >= least {
		return nil
	}
	return wrongf("%s: %d is less than %d; raise it, or leave it out for no limit but the process's", field, *v, least)
}

// shortest is what a network takes at its worst, more or less: less would turn away who does nothing wrong.
const shortest = 100 * time.Millisecond

func passes(field string, d *gatewayv1.Duration) *spec.Problem {
	parsed, p := spec.Duration(d, field)
	switch {
	case p != nil:
		return wrongf("%s", p.Text)
	case d != nil && parsed < shortest:
		return wrongf("%s: %s is shorter than %s; lengthen it, or leave it out for the process's", field, *d, shortest)
	}
	return nil
}

// overClients takes each setting from the inner parameters where they have it.
// What either says of a port counts before what it says of all.
func overClients(outer, inner *v1alpha1.ClientParameters) v1alpha1.ClientParameters {
	out := v1alpha1.ClientParameters{
		ProxyProtocol: cmp.Or(inner.ProxyProtocol, outer.ProxyProtocol),
		Limits:        overLimits(&outer.Limits, &inner.Limits),
	}
	for _, ports := range [][]v1alpha1.PortParameters{inner.Ports, outer.Ports} {
		for i := range ports {
			if port := ports[i].Port; Limits(&out, port) == &out.Limits {
				limits := overLimits(ofPort(outer, port), ofPort(inner, port))
				out.Ports = append(out.Ports, v1alpha1.PortParameters{Port: port, Limits: limits})
			}
		}
	}
	return out
}

// ofPort is Limits where what a port leaves out is filled in.
func ofPort(c *v1alpha1.ClientParameters, port int32) *v1alpha1.ClientLimits {
	l := overLimits(&c.Limits, Limits(c, port))
	return &l
}

func overLimits(outer, inner *v1alpha1.ClientLimits) v1alpha1.ClientLimits {
	return v1alpha1.ClientLimits{
		MaxConnections:          cmp.Or(inner.MaxConnections, outer.MaxConnections),
		MaxConnectionsPerClient: cmp.Or(inner.MaxConnectionsPerClient, outer.MaxConnectionsPerClient),
		MaxRequestsInFlight:     cmp.Or(inner.MaxRequestsInFlight, outer.MaxRequestsInFlight),
		MaxConcurrentStreams:    cmp.Or(inner.MaxConcurrentStreams, outer.MaxConcurrentStreams),
		MaxRequestHeaderBytes:   cmp.Or(inner.MaxRequestHeaderBytes, outer.MaxRequestHeaderBytes),
		MaxRequestBodyBytes:     cmp.Or(inner.MaxRequestBodyBytes, outer.MaxRequestBodyBytes),
		HeaderTimeout:           cmp.Or(inner.HeaderTimeout, outer.HeaderTimeout),
		BodyTimeout:             cmp.Or(inner.BodyTimeout, outer.BodyTimeout),
		IdleTimeout:             cmp.Or(inner.IdleTimeout, outer.IdleTimeout),
		WriteTimeout:            cmp.Or(inner.WriteTimeout, outer.WriteTimeout),
	}
}
