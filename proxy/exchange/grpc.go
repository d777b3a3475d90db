package exchange

import (
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// GRPC reports whether the caller is a gRPC client, which reads no status but
// gRPC's own.
func (x *Exchange) GRPC() bool { return x.sends("application/grpc") }

// Messages reports whether the content is a stream of messages, of gRPC or of
// Connect: without end if need be, and from a client that may well be silent.
func (x *Exchange) Messages() bool { return x.GRPC() || x.sends("application/connect") }

// sends reports whether the content is of a type, with whatever encoding.
func (x *Exchange) sends(media string) bool {
	t, _ := x.Request.Header.Get("content-type")
	return len(t) >= len(media) && mem.EqualFold(t[:len(media)], media) &&
		(len(t) == len(media) || t[len(media)] == '+' || t[len(media)] == ';')
}

// writeGRPC writes an answer of our own as a gRPC Trailers-Only response: 200,
// with the outcome in grpc-status and the code in grpc-message (gRPC over
// HTTP/2, Responses). x.Response keeps its status, for logs and metrics.
func (x *Exchange) writeGRPC() error {
	a := &x.Response
	status := a.Status
	a.Status, a.Body, a.ContentLength = 200, nil, 0
	a.Header.Set("content-type", "application/grpc")
	a.Header.Add("grpc-status", grpcStatus(status))
	if a.Code != "" {
		a.Header.Add("grpc-message", a.Code)
	}
	err := x.Writer.Head(x)
	a.Status = status
	if err != nil {
		return err
	}
	return x.Writer.End(x)
}

// grpcStatus maps an HTTP status as gRPC's "HTTP to gRPC Status Code Mapping"
// does for answers without a grpc-status; but 500, which is what of a route
// cannot be used, is UNAVAILABLE (GRPCRouteRule.BackendRefs).
func grpcStatus(status int) string {
	const internal, unauthenticated, permissionDenied, unimplemented, unavailable, unknown = 13, 16, 7, 12, 14, 2
	code := unknown
	switch status {
	case 400:
		code = internal
	case 401:
		code = unauthenticated
	case 403:
		code = permissionDenied
	case 404:
		code = unimplemented
	case 429, 500, 502, 503, 504:
		code = unavailable
	}
	return strconv.Itoa(code)
}
