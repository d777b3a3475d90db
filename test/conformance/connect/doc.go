// Package connect proves Connect, gRPC and gRPC-Web with the conformance suite of
// Connect: its reference client calls its reference server through the gateway, by
// HTTP/1.1, HTTP/2 and HTTP/3, in the clear, over TLS and with client certificates.
//
// It is a module of its own: the program does not share what the suite depends on.
// `make test-connect` runs it.
package connect
