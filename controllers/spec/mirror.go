package spec

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

func mirrorProblem(f *gatewayv1.HTTPRequestMirrorFilter, field string) *Problem {
	numerator, denominator := MirrorShare(f)
	switch {
	case f.Percent != nil && f.Fraction != nil:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s: percent and fraction exclude each other; remove one", field)
	case f.Percent != nil && (numerator < 0 || numerator > 100):
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.percent: %d is not between 0 and 100", field, numerator)
	case numerator < 0 || denominator < 1 || numerator > denominator:
		return Problemf(gatewayv1.RouteReasonUnsupportedValue, "%s.fraction: %d of %d is not between 0 and 1", field, numerator, denominator)
	}
	return nil
}

// MirrorShare returns the share of the requests that a mirror takes: all, unless
// it says otherwise (GEP-3171).
func MirrorShare(f *gatewayv1.HTTPRequestMirrorFilter) (numerator, denominator int32) {
	switch {
	case f.Percent != nil:
		return *f.Percent, 100
	case f.Fraction != nil && f.Fraction.Denominator != nil:
		return f.Fraction.Numerator, *f.Fraction.Denominator
	case f.Fraction != nil:
		return f.Fraction.Numerator, 100
	}
	return 1, 1
}
