package compile

import (
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/params"
	"github.com/gatehouse-dev/gatehouse/controllers/spec"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// compileLimits takes limits that params has looked at; nil for none.
func compileLimits(c *v1alpha1.ClientParameters, port int32) *table.Limits {
	l := params.Limits(c, port)
	out := table.Limits{
		Connections: int(value(l.MaxConnections)),
		PerClient:   int(value(l.MaxConnectionsPerClient)),
		Requests:    int(value(l.MaxRequestsInFlight)),
		Streams:     uint32(value(l.MaxConcurrentStreams)),
		Header:      int(value(l.MaxRequestHeaderBytes)),
		Body:        value(l.MaxRequestBodyBytes),
		HeaderTime:  duration(l.HeaderTimeout),
		BodyTime:    duration(l.BodyTimeout),
		IdleTime:    duration(l.IdleTimeout),
		WriteTime:   duration(l.WriteTimeout),
	}
	if out == (table.Limits{}) {
		return nil
	}
	return &out
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func duration(d *gatewayv1.Duration) time.Duration {
	parsed, _ := spec.Duration(d, "") // it was read before
	return parsed
}
