package wire

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Check holds a request that came by another syntax, HTTP/2's, to the rules of
// ParseRequest, since it may leave as HTTP/1.1. h has its Method, Target,
// Authority and Header; Check fills Path, RawQuery and EmptyQuery.
func Check(h *RequestHead, l Limits) *exchange.Error {
	if h.Method == "" || len(h.Method) > maxMethod || !is(h.Method, isMethod) {
		return errMethod
	}
	if len(h.Target) > l.Target {
		return errTargetLong
	}
	if len(h.Header) > l.Fields {
		return errFields
	}
	var question bool
	h.Path, h.RawQuery, question = strings.Cut(h.Target, "?")
	h.EmptyQuery = question && h.RawQuery == ""
	if !is(h.Path, isPath) || !is(h.RawQuery, isQuery) {
		return errTarget
	}
	if h.Authority == "" {
		return errHostMissing
	}
	if !validAuthority(h.Authority) {
		return errHost
	}
	h.Authority = withoutEmptyPort(h.Authority)
	if err := target(h); err != nil {
		return err
	}
	if h.Scheme != "" {
		return errTarget // only HTTP/1.1 has absolute-form; here the authority has been said
	}
	return nil
}

// Text reports whether s can stand in a field value (RFC 9110, section 5.5): it
// has no control character but HTAB.
func Text(s string) bool { return textEnd(mem.Bytes(s), 0) == len(s) }
