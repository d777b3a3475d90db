package forward

import (
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// hop takes one from the Max-Forwards of a TRACE or OPTIONS, and reports false where
// there is none left: x is not to go on then, and its answer is set up (RFC 9110,
// section 7.6.2). Other methods' means nothing, nor does one that is no number. A TRACE
// with content does not go on either.
func hop(x *exchange.Exchange) bool {
	switch m := x.Request.Method; {
	case m != "OPTIONS" && m != "TRACE":
		return true
	case m == "TRACE" && x.Request.Body != nil: // no client sends any (section 9.3.8), and to the backend we are one
		x.Reply(400, "trace_content", "a TRACE has no content")
		return false
	}
	const name = "max-forwards"
	value, ok := x.Request.Header.Get(name)
	if !ok {
		return true
	}
	left, err := strconv.ParseUint(value, 10, 31)
	switch {
	case err != nil || x.Request.Header.Count(name) > 1:
		return true
	case left > 0:
		x.Request.Header.Set(name, mem.String(strconv.AppendUint(x.Arena.Alloc(20)[:0], left-1, 10)))
		return true
	case x.Request.Method == "TRACE":
		x.Reply(501, "max_forwards", "the gateway, where the request was to end, sends no request back")
	default:
		x.ReplyEmpty(204, "max_forwards")
	}
	return false
}
