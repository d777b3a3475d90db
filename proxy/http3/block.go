package http3

import (
	"strconv"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Header blocks (RFC 9204, section 4.5) are written as proxy/frame writes those of
// HTTP/2, and by its integers and strings: without the dynamic table and without Huffman
// coding, so that writing one needs no state and no memory.

// appendPrefix appends what begins a block: nothing of the dynamic table is needed.
func appendPrefix(dst []byte) []byte { return append(dst, 0, 0) }

// appendStatus appends the pseudo-header field of an answer, by the static table
// (RFC 9204, appendix A) where that has it.
func appendStatus(dst []byte, status int) []byte {
	const indexed, any103 = 0xc0, 24
	index := 0
	switch status {
	case 103:
		index = 24
	case 200:
		index = 25
	case 304:
		index = 26
	case 404:
		index = 27
	case 503:
		index = 28
	case 100:
		index = 63
	case 204:
		index = 64
	case 206:
		index = 65
	case 302:
		index = 66
	case 400:
		index = 67
	case 403:
		index = 68
	case 421:
		index = 69
	case 425:
		index = 70
	case 500:
		index = 71
	default:
		dst = append(frame.AppendInt(dst, 0x50, 4, any103), 3)
		return append(dst, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10))
	}
	return frame.AppendInt(dst, indexed, 6, index)
}

// appendFields appends the end-to-end fields of h. Names become lower case, control
// characters in values spaces, as proxy/wire has it; what is no name is left out,
// and so is what frames a message or belongs to a connection of HTTP/1.1 (section 4.2).
func appendFields(dst []byte, h exchange.Header) []byte {
	for i := range h {
		dst = appendField(dst, h[i].Name, h[i].Value)
	}
	return dst
}

// appendField appends one field; see appendFields.
func appendField(dst []byte, name, value string) []byte {
	if name == "" {
		return dst
	}
	start := len(dst)
	dst = frame.AppendInt(dst, 0x20, 3, len(name))
	at := len(dst)
	dst = append(dst, name...)
	for i := at; i < len(dst); i++ {
		if dst[i] = mem.FieldName[dst[i]]; dst[i] == 0 {
			return dst[:start]
		}
	}
	switch index := nameIndex(dst[at:]); {
	case index == unsent:
		return dst[:start]
	case index == setCookie:
		dst = frame.AppendInt(dst[:start], 0x70, 4, index) // never to be indexed behind us either
	case index != 0:
		dst = frame.AppendInt(dst[:start], 0x50, 4, index)
	}
	return frame.AppendValue(dst, value)
}

// appendLength appends Content-Length.
func appendLength(dst []byte, n int64) []byte {
	const length = 4
	dst = append(frame.AppendInt(dst, 0x50, 4, length), 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}

const (
	unsent    = -1 // of fields that go by other ways, or not at all
	setCookie = 14
)

// nameIndex returns the index of a name, in lower case, in the static table, for
// those that answers have often; 0 for others.
func nameIndex(name []byte) int {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length":
		return unsent
	case "date":
		return 6
	case "etag":
		return 7
	case "last-modified":
		return 10
	case "link":
		return 11
	case "location":
		return 12
	case "set-cookie":
		return setCookie
	case "accept-ranges":
		return 32
	case "access-control-allow-origin":
		return 35
	case "cache-control":
		return 36
	case "content-encoding":
		return 42
	case "content-type":
		return 44
	case "strict-transport-security":
		return 56
	case "vary":
		return 59
	case "x-content-type-options":
		return 61
	case "alt-svc":
		return 83
	case "server":
		return 92
	}
	return 0
}
