package wire

import "github.com/gatehouse-dev/gatehouse/proxy/exchange"

// What is wrong with a head. After any of these the connection is of no more
// use: where the next message begins is not known.
var (
	errRequestLine = refuse(400, "bad_request_line", "the request line is malformed")
	errMethod      = refuse(400, "bad_method", "the method is not a token in upper case")
	errTarget      = refuse(400, "bad_target", "the request target is malformed")
	errVersion     = refuse(505, "http_version_unsupported", "only HTTP/1.0 and HTTP/1.1 are spoken here")
	errConnect     = refuse(501, "connect_unsupported", "the gateway is no forward proxy")
	errTargetLong  = refuse(414, "target_too_long", "the request target is too long")
	errHeadLong    = refuse(431, "header_too_large", "the message head is too large")
	errFields      = refuse(431, "too_many_headers", "the message has too many header fields")
	errLineEnd     = refuse(400, "bad_line_ending", "lines must end in CR LF")
	errFieldName   = refuse(400, "bad_header_name", "a header field name is malformed")
	errFieldValue  = refuse(400, "bad_header_value", "a header field value has a control character")
	errFold        = refuse(400, "folded_header", "header fields must not be folded")
	errConnection  = refuse(400, "bad_connection", "the Connection header is malformed")
	errExpect      = refuse(417, "expectation_unsupported", "only 100-continue can be expected")

	errHostMissing = refuse(400, "host_missing", "the request has no Host header")
	errHostTwice   = refuse(400, "duplicate_host", "the request has more than one Host header")
	errHost        = refuse(400, "bad_host", "the host is malformed")
	errHostDiffers = refuse(400, "host_mismatch", "the Host header and the request target differ")

	errLength          = refuse(400, "bad_content_length", "Content-Length is not a number")
	errLengthTwice     = refuse(400, "duplicate_content_length", "the message has more than one Content-Length")
	errFraming         = refuse(400, "ambiguous_length", "Content-Length and Transfer-Encoding exclude each other")
	errTransfer        = refuse(400, "bad_transfer_encoding", "Transfer-Encoding must be chunked, once, and not with HTTP/1.0")
	errTransferUnknown = refuse(501, "transfer_encoding_unsupported", "the only transfer coding spoken here is chunked")

	errStatusLine = refuse(400, "bad_status_line", "the status line is malformed")
)

// What is wrong with chunked content.
var (
	errChunkSize   = refuse(400, "bad_chunk_size", "a chunk size is malformed or too large")
	errChunkExt    = refuse(400, "bad_chunk_extension", "a chunk extension is malformed or too long")
	errChunk       = refuse(400, "bad_chunk", "a chunk does not end where its size says")
	errTrailerLong = refuse(431, "trailer_too_large", "the trailer section is too large")
)

func refuse(status int, code, detail string) *exchange.Error {
	return &exchange.Error{Status: status, Code: code, Detail: detail}
}

// fromBackend turns what is wrong with an answer into what its requester is told.
func fromBackend(e *exchange.Error) *exchange.Error {
	return &exchange.Error{Status: 502, Code: "backend_bad_response", Detail: "the backend's answer is malformed: " + e.Detail}
}
