// Package frame is the syntax of HTTP/2 (RFC 9113) below its messages: frame
// heads, the payloads both sides write alike, and header blocks as we write them;
// and how a connection's end reads and waits, whichever it is.
//
// proxy/http2 speaks to clients with it, proxy/upstream/h2 to backends; proxy/http3 has
// the same integers and strings in its header blocks. It calls mem, exchange and wire only.
package frame

import "encoding/binary"

// Type says what a frame is (section 6).
type Type uint8

// The types of frames.
const (
	Data Type = iota
	Headers
	Priority
	ResetStream
	Settings
	PushPromise
	Ping
	GoAway
	WindowUpdate
	Continuation
)

// Flags of frames.
const (
	EndStream   = 0x1 // Data, Headers
	Ack         = 0x1 // Settings, Ping
	EndHeaders  = 0x4 // Headers, Continuation
	Padded      = 0x8 // Data, Headers
	HasPriority = 0x20
)

// Code says why a stream or a connection ends (section 7).
type Code uint32

// The codes we use or compare with.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
)

// Setting is a parameter of a Settings frame (section 6.5.2).
type Setting uint16

// The settings we send or heed.
const (
	HeaderTableSize      Setting = 1
	EnablePush           Setting = 2
	MaxConcurrentStreams Setting = 3
	InitialWindowSize    Setting = 4
	MaxFrameSize         Setting = 5
	MaxHeaderListSize    Setting = 6
	NoPriorities         Setting = 9 // RFC 9218, section 2.1
)

// What both sides begin with (sections 3.4, 6.5.2 and 6.9.2).
const (
	Preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	InitialWindow = 65535
	MaxWindow     = 1<<31 - 1
	MaxStream     = 1<<31 - 1
	MinMaxSize    = 16 << 10 // of a payload, until a peer allows more
	MaxMaxSize    = 1<<24 - 1
	TableSize     = 4096 // of header compression
)

// HeadSize is how many bytes come before a payload.
const HeadSize = 9

// Head is what comes before a payload (section 4.1).
type Head struct {
	Length int
	Type   Type
	Flags  uint8
	Stream uint32
}

// Has reports whether a flag is set.
func (h *Head) Has(flag uint8) bool { return h.Flags&flag != 0 }

// Parse reads the head that the HeadSize bytes of b are.
func Parse(b []byte) Head {
	_ = b[HeadSize-1]
	return Head{
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		Type:   Type(b[3]), Flags: b[4],
		Stream: binary.BigEndian.Uint32(b[5:]) & MaxStream,
	}
}

// Append appends a head.
func Append(dst []byte, h Head) []byte {
	return append(dst, byte(h.Length>>16), byte(h.Length>>8), byte(h.Length), byte(h.Type), h.Flags,
		byte(h.Stream>>24), byte(h.Stream>>16), byte(h.Stream>>8), byte(h.Stream))
}

// FlagsAt is where the flags are in a head.
const FlagsAt = 4

// AppendWindowUpdate appends a WINDOW_UPDATE of n, for stream or, with 0, the connection.
func AppendWindowUpdate(dst []byte, stream, n uint32) []byte {
	dst = Append(dst, Head{Length: 4, Type: WindowUpdate, Stream: stream})
	return binary.BigEndian.AppendUint32(dst, n)
}

// AppendReset appends a RST_STREAM.
func AppendReset(dst []byte, stream uint32, code Code) []byte {
	dst = Append(dst, Head{Length: 4, Type: ResetStream, Stream: stream})
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendPing appends a PING, or with Ack the answer to one, of 8 bytes.
func AppendPing(dst []byte, flags uint8, payload []byte) []byte {
	return append(Append(dst, Head{Length: 8, Type: Ping, Flags: flags}), payload[:8]...)
}

// AppendGoAway appends a GOAWAY; debug says to people why.
func AppendGoAway(dst []byte, last uint32, code Code, debug string) []byte {
	dst = Append(dst, Head{Length: 8 + len(debug), Type: GoAway})
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// Param is one setting and its value.
type Param struct {
	ID    Setting
	Value uint32
}

// AppendSettings appends a SETTINGS.
func AppendSettings(dst []byte, params ...Param) []byte {
	dst = Append(dst, Head{Length: 6 * len(params), Type: Settings})
	for _, p := range params {
		dst = binary.BigEndian.AppendUint16(dst, uint16(p.ID))
		dst = binary.BigEndian.AppendUint32(dst, p.Value)
	}
	return dst
}

// AppendHeaders appends a header block as HEADERS, and CONTINUATION as far as it
// has more than size bytes. flags may be EndStream.
func AppendHeaders(dst []byte, stream uint32, flags uint8, block []byte, size int) []byte {
	h := Head{Type: Headers, Flags: flags, Stream: stream}
	for {
		part := block[:min(len(block), size)]
		if block = block[len(part):]; len(block) == 0 {
			h.Flags |= EndHeaders
		}
		h.Length = len(part)
		dst = append(Append(dst, h), part...)
		if len(block) == 0 {
			return dst
		}
		h.Type, h.Flags = Continuation, 0
	}
}

// Unpad returns the payload of a padded frame without its padding; false when
// that is as long as all of it, or more.
func Unpad(h *Head, payload []byte) ([]byte, bool) {
	if !h.Has(Padded) {
		return payload, true
	}
	if len(payload) == 0 || int(payload[0]) >= len(payload) {
		return nil, false
	}
	return payload[1 : len(payload)-int(payload[0])], true
}
