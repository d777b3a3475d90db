package exchange

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// GRPC reports whether the caller is a gRPC client, which reads no status but
// gRPC's own.
func (x *Exchange) GRPC() bool { return x.sends(grpcType) }

const grpcType = "application/grpc"

// Messages reports whether the content is a stream of messages, of gRPC or of
// Connect: without end if need be, and from a client that may well be silent.
func (x *Exchange) Messages() bool { return x.GRPC() || x.sends("application/connect") }

// sends reports whether the content is of a type, with whatever encoding.
func (x *Exchange) sends(media string) bool {
	t, _ := x.Request.Header.Get("content-type")
	return isType(t, media)
}

func isType(t, media string) bool {
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
	a.Header.Set("content-type", grpcType)
	x.outcome(&a.Header, status)
	err := x.Writer.Head(x)
	a.Status = status
	if err != nil {
		return err
	}
	return x.Writer.End(x)
}

// EndGRPC completes an answer to a gRPC client that has begun and that its backend,
// as x.Response.Code says, does not complete: with that as its outcome, which the
// client would else have to guess from a stream that is reset. It does nothing for
// others, to whom what is cut short would seem whole.
func (x *Exchange) EndGRPC() {
	a := &x.Response
	t, _ := a.Header.Get("content-type")
	if !x.GRPC() || !isType(t, grpcType) || x.Conn.Protocol == "HTTP/1.1" || a.ContentLength >= 0 || !strings.HasPrefix(a.Code, "backend_") {
		return
	}
	a.Trailer = a.Trailer[:0]
	x.outcome(&a.Trailer, 502)
	_ = x.Writer.End(x) // the client is gone; the protocol knows
}

// outcome says what a gRPC client reads of an answer of status, or of one that was
// broken off. A service that refuses may have said itself why, but not that all is well.
func (x *Exchange) outcome(h *Header, status int) {
	if v, there := h.Get("grpc-status"); there && v != "0" {
		return
	}
	code := grpcStatus(status)
	if x.Response.Code == "backend_cancelled" {
		code = "1" // CANCELLED
		if x.expired() {
			code = "4" // DEADLINE_EXCEEDED
		}
	}
	h.Set("grpc-status", code)
	if x.Response.Code != "" {
		h.Set("grpc-message", x.Response.Code)
	}
}

// expired reports whether the time is over that the caller gave the call (gRPC over
// HTTP/2, Timeout).
func (x *Exchange) expired() bool {
	v, _ := x.Request.Header.Get("grpc-timeout")
	if len(v) < 2 || len(v) > 9 {
		return false
	}
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 32)
	unit, ok := timeoutUnits[v[len(v)-1]]
	return err == nil && ok && time.Since(x.Start)/unit >= time.Duration(n)
}

var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
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
