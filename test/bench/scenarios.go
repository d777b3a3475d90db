package main

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/test/bench/load"
	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/bench/report"
)

// scenario is one load, and who bears it.
type scenario struct {
	name, title string
	unit        string
	what        string // the load, in a sentence
	goal        report.Goal
	entries     []entry
	needs       peer.Ability
	to          listener
	load        load.Spec
	cpus        string // of the proxy; "" for its own one
	idle        int    // connections that are open and quiet
	times       int    // as many runs as others have, where the goal is a small difference; 0: once
	// shared has the contenders of one peer, which differ by their path, be one process:
	// what one costs more than another is then not the luck of where its memory lies.
	shared bool
	// half has the load's rate be half of what the peer can do, found by a short load.
	half bool
	// check sees one right answer before anything is measured.
	check check
}

// listener is which of a proxy's ports the load goes to.
type listener string

const (
	toHTTP  listener = "http"
	toHTTPS listener = "https"
	toTCP   listener = "tcp"
	toUDP   listener = "udp"
)

// entry is one contender: a peer as it is configured here.
type entry struct {
	name, peer string
	manifests  func() (map[string]string, error) // gatehouse alone
	path       string                            // in place of the load's
	headers    func() []string                   // in place of the load's
	keySet     func() (string, error)            // for peer.Site
	churn      *churn                            // many routes, which may change
}

// plain are contenders by their names alone.
func plain(names ...string) (out []entry) {
	for _, n := range names {
		out = append(out, entry{name: n, peer: n})
	}
	return out
}

const (
	gatehouse = "gatehouse"
	nginx     = "nginx"
	haproxy   = "haproxy"
	envoy     = "envoy"
	caddy     = "caddy"
)

// typical are about 700 bytes of what browsers send.
func typical() []string {
	return []string{
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language: en-GB,en;q=0.7,de;q=0.3",
		"Accept-Encoding: gzip, deflate, br, zstd",
		"Referer: https://" + peer.Host + "/catalogue/garden/tools?page=3&sort=price",
		"Cookie: session=7d1f0f6c3b0e4a54a5e7c1b9c2d84f30; theme=dark; consent=necessary.statistics; cart=3f8b1c92",
		"Cache-Control: no-cache",
		"Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: navigate",
		"Sec-Fetch-Site: same-origin",
		"X-Request-Id: 9b2c1e9e-5b1a-4b6f-8f0e-7d5f2f6f9a11",
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
	}
}

func grpcHeaders() []string { return []string{"content-type: application/grpc", "te: trailers"} }

// scenarios is all there is, in the order of the report.
func scenarios() []scenario {
	return slices.Concat(plaintext(), encrypted(), bodies(), relays(), features())
}

func both() []string { return []string{nginx, haproxy} }

// keepAlive is the load that most compare with.
func keepAlive(headers ...string) load.Spec {
	return load.Spec{Kind: load.Wrk, Path: load.SmallPath, Connections: 64, Headers: headers}
}

func atRate(n int) load.Spec {
	return load.Spec{Kind: load.Loop, Message: load.HTTP, Path: load.SmallPath, Connections: 64, Rate: n}
}

func messages(kind string, datagrams bool) load.Spec {
	return load.Spec{Kind: load.Loop, Message: kind, Datagrams: datagrams, Path: load.WebSocketPath, Body: load.SmallSize, Connections: 64}
}

func plaintext() []scenario {
	return []scenario{
		{
			name: "http1", title: "HTTP/1.1, keep-alive", unit: "request", what: "64 connections, answers of 128 B",
			entries: plain(gatehouse, nginx, haproxy, envoy, caddy), to: toHTTP, load: keepAlive(), check: small,
			goal: report.Goal{Ratio: 0.85, To: both()},
		},
		{
			name: "http1-headers", title: "HTTP/1.1 with headers", unit: "request", what: "the same with 700 B of headers that browsers send",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, load: keepAlive(typical()...), check: small,
			goal: report.Goal{Ratio: 0.85, To: both()},
		},
		{
			name: "http1-routes", title: "HTTP/1.1 among 10,000 routes", unit: "request", to: toHTTP, load: keepAlive(), check: small,
			what: "the first load, beside 10,000 routes on 2,000 hostnames, regular expressions and header matches among them",
			entries: []entry{{name: gatehouse, peer: gatehouse}, {
				name: "10,000 routes", peer: gatehouse, manifests: tenThousandRoutes, path: "/path-4999-api/v1/items",
			}},
			goal: report.Goal{Ratio: 1.1, Second: true},
		},
		{
			name: "connect", title: "A new connection for each request", unit: "request", what: "HTTP/1.1 with Connection: close, 64 at a time",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, load: keepAlive("Connection: close"), check: small,
			goal: report.Goal{Ratio: 1, To: both()},
		},
		{
			name: "low-rate", title: "5,000 requests a second", unit: "request", to: toHTTP, load: atRate(5000), check: small, cpus: peer.BothCPUs,
			what:    "HTTP/1.1, far below saturation, the proxy on both CPUs; latency counts from when a request fell due",
			entries: plain(gatehouse, nginx, haproxy), goal: report.Goal{Ratio: 1, To: []string{nginx}},
		},
		{
			name: "latency", title: "8,000 requests a second on one CPU", unit: "request", to: toHTTP, load: atRate(8000), check: small,
			what:    "HTTP/1.1; latency counts from when a request fell due",
			entries: plain(gatehouse, nginx, haproxy, envoy),
		},
		{
			name: "idle", title: "The first load beside 10,000 idle connections", unit: "request", what: "64 busy connections, 10,000 that asked once and are quiet",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, load: keepAlive(), check: small, idle: 10000,
			goal: report.Goal{Memory: 50, To: []string{nginx}},
		},
	}
}

func encrypted() []scenario {
	tls := load.Spec{Kind: load.H2load, Path: load.SmallPath, Connections: 64, HTTP1: true}
	return []scenario{
		{
			name: "tls", title: "HTTP/1.1 over TLS 1.3, keep-alive", unit: "request", what: "64 connections, answers of 128 B, ECDSA P-256",
			entries: plain(gatehouse, nginx, haproxy, envoy, caddy), to: toHTTPS, load: tls, check: overTLS,
			goal: report.Goal{Ratio: 0.85, To: both()},
		},
		{
			name: "handshake", title: "TLS 1.3 handshakes, full", unit: "connection", what: "connect, X25519, one request, close; 16 at a time",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTPS, check: overTLS,
			load: load.Spec{Kind: load.Handshake, Path: load.SmallPath, Connections: 16},
			goal: report.Goal{Ratio: 1.11, To: []string{nginx}},
		},
		{
			name: "resumption", title: "TLS 1.3 handshakes, resumed", unit: "connection", what: "the same by session ticket",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTPS, check: overTLS,
			load: load.Spec{Kind: load.Handshake, Path: load.SmallPath, Connections: 16, Resumed: true},
			goal: report.Goal{Ratio: 1.11, To: []string{nginx}},
		},
		{
			name: "http2", title: "HTTP/2 over TLS to HTTP/1.1", unit: "request", what: "4 connections of 32 streams, answers of 128 B",
			entries: plain(gatehouse, nginx, haproxy, envoy, caddy), to: toHTTPS, check: overHTTP2,
			load: load.Spec{Kind: load.H2load, Path: load.SmallPath, Connections: 4, Streams: 32},
			goal: report.Goal{Ratio: 1, To: []string{haproxy}},
		},
		{
			name: "http3", title: "HTTP/3 to HTTP/1.1", unit: "request", what: "4 connections of 32 streams, answers of 128 B",
			entries: plain(gatehouse, caddy), to: toHTTPS, needs: peer.HTTP3, check: overHTTP3,
			load: load.Spec{Kind: load.HTTP3, Path: load.SmallPath, Connections: 4, Streams: 32},
			goal: report.Goal{Ratio: 0.5, To: []string{caddy}},
		},
		{
			name: "grpc-unary", title: "gRPC, unary", unit: "call", what: "4 connections of 32 streams over TLS, messages of 128 B both ways, HTTP/2 to the backend",
			entries: plain(gatehouse, nginx, haproxy, envoy), to: toHTTPS, check: unary,
			load: load.Spec{Kind: load.H2load, Path: load.EchoPath, Headers: grpcHeaders(), Body: load.SmallSize, Connections: 4, Streams: 32},
			goal: report.Goal{Ratio: 1, To: []string{haproxy}},
		},
		{
			name: "grpc-stream", title: "gRPC, streaming", unit: "message", what: "4 connections of 32 streams that stay open, a message of 128 B under way on each",
			entries: plain(gatehouse, nginx, haproxy, envoy), to: toHTTPS, check: unary,
			load: load.Spec{Kind: load.Streams, Path: load.StreamPath, Body: load.SmallSize, Connections: 4, Streams: 32},
			goal: report.Goal{Ratio: 1, To: []string{haproxy}},
		},
	}
}

func bodies() []scenario {
	return []scenario{
		{
			name: "download-64k", title: "Downloads of 64 KiB", unit: "request", what: "HTTP/1.1, 64 connections",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, check: large,
			load: load.Spec{Kind: load.Wrk, Path: load.LargePath, Connections: 64},
			goal: report.Goal{Ratio: 0.65, To: []string{nginx}},
		},
		{
			name: "upload-1m", title: "Uploads of 1 MiB", unit: "request", what: "HTTP/1.1, 16 connections",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, check: upload,
			load: load.Spec{Kind: load.Wrk, Path: "/api/upload", Body: 1 << 20, Connections: 16},
			goal: report.Goal{Ratio: 0.75, To: []string{nginx}},
		},
	}
}

func relays() []scenario {
	return []scenario{
		{
			name: "websocket", title: "WebSocket", unit: "message", what: "64 connections, a message of 128 B sent back on each",
			entries: plain(gatehouse, nginx, haproxy), to: toHTTP, load: messages(load.WebSocket, false), check: nothing,
			goal: report.Goal{Ratio: 1, To: both()},
		},
		{
			name: "tcp", title: "TCP relay", unit: "message", what: "64 connections, 128 B sent back on each",
			entries: plain(gatehouse, nginx, haproxy), to: toTCP, needs: peer.TCP, load: messages(load.Bytes, false), check: nothing,
			goal: report.Goal{Ratio: 1, To: both()},
		},
		{
			name: "udp", title: "UDP relay", unit: "datagram", what: "64 clients, 128 B sent back to each",
			entries: plain(gatehouse, nginx), to: toUDP, needs: peer.UDP, load: messages(load.Bytes, true), check: nothing,
			goal: report.Goal{Ratio: 1, To: both()},
		},
	}
}

func features() []scenario {
	return []scenario{
		{
			name: "auth", title: "HTTP/1.1 with authentication", unit: "request", what: "the first load on routes of their own; a key or token makes a request longer, whoever asks for it",
			entries: guarded(), to: toHTTP, load: keepAlive(), check: small, shared: true, times: 3,
			goal: report.Goal{Added: 1, To: asked},
		},
		{
			name: "claims", title: "A JWT and one of its claims", unit: "request", to: toHTTP, load: keepAlive(), check: small,
			what:    "the first load with a token (ES256) whose scope must hold a word; Gatehouse and Envoy verify tokens themselves and keep what they verified, Caddy asks a service that says yes",
			entries: claiming(),
		},
		{
			name: "churn", title: "Half of saturation while routes change", unit: "request", to: toHTTP, load: atRate(0), half: true, check: small,
			what: "5,000 routes; quiet, and with 50 changes a second; controllers and proxy in one process; Caddy, at half of its own saturation, takes one change after the other by its admin interface, 50 a second at most",
			entries: []entry{
				{name: "quiet", peer: gatehouse, churn: &churn{Routes: 5000}},
				{name: "50 changes a second", peer: gatehouse, churn: &churn{Routes: 5000, PerSecond: 50}},
				{name: "caddy, quiet", peer: caddy, churn: &churn{Routes: 5000}},
				{name: "caddy, changing", peer: caddy, churn: &churn{Routes: 5000, PerSecond: 50}},
			},
			goal: report.Goal{Ratio: 1.5, P99: true},
		},
	}
}
