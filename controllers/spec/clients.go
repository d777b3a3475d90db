package spec

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ClientValidation is what a Gateway says of client certificates on a port
// (GEP-91), and the field it stands in; nil for nothing.
func ClientValidation(gw *gatewayv1.Gateway, port gatewayv1.PortNumber) (*gatewayv1.FrontendTLSValidation, string) {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Frontend == nil {
		return nil, ""
	}
	for i := range gw.Spec.TLS.Frontend.PerPort {
		if p := &gw.Spec.TLS.Frontend.PerPort[i]; p.Port == port {
			return p.TLS.Validation, fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i)
		}
	}
	return gw.Spec.TLS.Frontend.Default.Validation, "spec.tls.frontend.default.validation"
}

// InsecurePorts names the fields of a Gateway by which clients are let in whose
// certificate is missing or wrong.
func InsecurePorts(gw *gatewayv1.Gateway) (fields []string) {
	if gw.Spec.TLS == nil || gw.Spec.TLS.Frontend == nil {
		return nil
	}
	insecure := func(c *gatewayv1.TLSConfig, field string) {
		if c.Validation != nil && c.Validation.Mode == gatewayv1.AllowInsecureFallback {
			fields = append(fields, field)
		}
	}
	insecure(&gw.Spec.TLS.Frontend.Default, "spec.tls.frontend.default")
	for i := range gw.Spec.TLS.Frontend.PerPort {
		p := &gw.Spec.TLS.Frontend.PerPort[i]
		insecure(&p.TLS, fmt.Sprintf("spec.tls.frontend.perPort[%d] (port %d)", i, p.Port))
	}
	return fields
}
