// Package protocols proves HTTP/2, gRPC and Connect through the gateway, each with a
// suite that others made: h2spec asks it what a server of HTTP/2 must do, the gRPC
// project's interoperability client calls its server through it, and so does the
// reference client of Connect's conformance suite, which speaks Connect, gRPC and
// gRPC-Web by HTTP/1.1, HTTP/2 and HTTP/3, in the clear, over TLS and with client
// certificates.
//
// It is a module of its own: the program does not share what the suites depend on.
// `make test-protocols` runs it.
package protocols
