// Package limits is the flags that bound what clients and backends may use.
//
// cmd/gatehouse/command adds them to the commands that serve. docs/limits.md lists
// them, and test/docs checks that. It calls nothing.
package limits

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Limits are what the flags set: parts of proxy.Options.
type Limits struct {
	Clients      proxy.Clients
	Backends     upstream.Config
	Mirrors      forward.Mirrors
	SessionBytes int
}

// Add adds the flags to f, which sets l. A value that makes no sense is refused
// where the flag is read.
func Add(f *pflag.FlagSet, l *Limits) {
	own := pflag.NewFlagSet("limits", pflag.ContinueOnError)
	clients(own, &l.Clients)
	streams(own, &l.Clients)
	content(own, &l.Clients)
	backends(own, &l.Backends)
	rest(own, l)
	bound(own)
	f.AddFlagSet(own)
}

// clients are the flags of connections and requests.
func clients(f *pflag.FlagSet, c *proxy.Clients) {
	f.IntVar(&c.Connections, "max-connections", 0, "client connections open at one time; further ones are answered 503; 0: as many as the memory is for, 32768 at most")
	f.IntVar(&c.Requests, "max-requests", 0, "requests in flight at one time; further ones are answered 503; 0: as many as the memory is for, 16384 at most; negative for no limit")
	f.IntVar(&c.HTTP1.MaxRequests, "max-requests-per-connection", 0, "requests on one HTTP/1.1 connection, which is then closed; 0: no limit")
	f.DurationVar(&c.Handshake, "handshake-timeout", 10*time.Second, "for a TLS handshake with a client")
	f.DurationVar(&c.Tunnel, "tunnel-idle-timeout", 10*time.Minute, "for which a tunnel, such as a WebSocket, may be silent, in both directions")
	f.IntVar(&c.UDP.Sessions, "max-udp-sessions", 4096, "UDP sessions of one listener; datagrams of further clients are dropped")
	f.DurationVar(&c.UDP.Idle, "udp-idle-timeout", time.Minute, "for which a UDP session may be silent")
	f.DurationVar(&c.TCP.Idle, "tcp-idle-timeout", time.Hour, "for which a relayed TCP or TLS connection may be silent, in both directions")
}

// streams are the flags of HTTP/2, and of HTTP/3 as far as it has the same.
func streams(f *pflag.FlagSet, c *proxy.Clients) {
	f.Uint32Var(&c.Streams, "max-streams", 100, "HTTP/2 or HTTP/3 streams open at one time on a connection")
	f.DurationVar(&c.Stream, "stream-timeout", 10*time.Minute, "for which a client of gRPC or Connect may be silent on a stream")
	f.IntVar(&c.Buffers.Stream, "max-stream-buffer-bytes", 256<<10, "content of an HTTP/2 or HTTP/3 stream that nobody has read yet; then the client waits; 65536 or more")
	f.IntVar(&c.Buffers.Connection, "max-connection-buffer-bytes", 1<<20, "content of all HTTP/2 or HTTP/3 streams of a connection that nobody has read yet; then the client waits; 65536 or more")
	f.IntVar(&c.Floods.Idle, "max-http2-idle-frames", 1000, "frames an HTTP/2 client may send that bring no request on; 100 more a second, 10 with each request, 3 with each frame of content; then the connection is broken off")
	f.IntVar(&c.Floods.Resets, "max-http2-resets", 200, "HTTP/2 streams a client may reset within 100 ms, or HTTP/3 streams within 300 ms, "+
		"before their answer begins, or have reset; 20 more a second, 1 with each answer; then the connection is broken off")
	f.IntVar(&c.Floods.Block, "max-http2-header-frames", 64, "HTTP/2 frames of one header block; with more the connection is broken off")
}

// content are the flags of what requests consist of, and of how fast that comes.
func content(f *pflag.FlagSet, c *proxy.Clients) {
	f.IntVar(&c.HTTP1.Limits.Head, "max-head-bytes", 64<<10, "request head; a larger one is answered 431")
	f.IntVar(&c.HTTP1.Limits.Target, "max-target-bytes", 8<<10, "request target; a longer one is answered 414")
	f.IntVar(&c.HTTP1.Limits.Fields, "max-header-fields", 100, "header fields of a request; more are answered 431")
	f.Int64Var(&c.HTTP1.MaxBody, "max-body-bytes", 1<<30, "request content; more is answered 413; negative for no limit")
	f.DurationVar(&c.HTTP1.HeadTimeout, "head-timeout", 10*time.Second, "for a request head to arrive, from its first byte; then 408")
	f.DurationVar(&c.HTTP1.IdleTimeout, "idle-timeout", time.Minute, "for which a client connection may be idle")
	f.DurationVar(&c.HTTP1.BodyTimeout, "body-timeout", 30*time.Second, "for the next piece of content to arrive; then 408")
	f.DurationVar(&c.HTTP1.WriteTimeout, "write-timeout", 30*time.Second, "for a client to take what it is sent")
	f.Int64Var(&c.HTTP1.Pace.Least, "min-body-rate", 64, "bytes of request content a second, on average, once --body-timeout has been waited for them; then 408; negative for no limit")
	f.Int64Var(&c.HTTP1.Pace.Busy, "min-body-rate-busy", 4096, "the same while more than three quarters of the requests that may be in flight are")
}

// backends are the flags of what goes to backends.
func backends(f *pflag.FlagSet, b *upstream.Config) {
	f.IntVar(&b.MaxIdle, "max-idle-backend-connections", 256, "idle connections kept to one endpoint")
	f.IntVar(&b.Admission.Limit, "max-backend-requests", 0, "requests in flight to one backend; further ones are answered 503; 0: half of --max-requests; negative for no limit")
	f.IntVar(&b.MaxRequests, "max-endpoint-requests", 4096, "requests in flight to one endpoint; when all have as many, further ones are answered 503")
	f.IntVar(&b.Admission.Queue, "backend-queue", 0, "requests that wait while a backend has --max-backend-requests")
	f.DurationVar(&b.Admission.Wait, "backend-queue-timeout", 100*time.Millisecond, "for which one of --backend-queue waits; then 503")
	f.IntVar(&b.MaxConns, "max-backend-connections", 4096, "connections to one endpoint; when all are in use requests are answered 503")
	f.DurationVar(&b.ConnectTimeout, "backend-connect-timeout", 3*time.Second, "for a connection to an endpoint to open")
	f.DurationVar(&b.ReadTimeout, "backend-idle-timeout", time.Minute, "for which a backend may be silent during a request; then 504")
	f.DurationVar(&b.WriteTimeout, "backend-write-timeout", 30*time.Second, "for a backend to take what it is sent; then 504")
	f.DurationVar(&b.StreamTimeout, "backend-stream-timeout", 10*time.Minute, "--backend-idle-timeout of gRPC")
	f.DurationVar(&b.IdleTimeout, "backend-keepalive-timeout", time.Minute, "for which an idle connection to an endpoint is kept")
	f.IntVar(&b.MaxStreamConns, "max-backend-http2-connections", 16, "connections to one endpoint that speaks HTTP/2")
	f.IntVar(&b.MaxStreams, "max-backend-streams", 250, "requests at one time on one connection to a backend that speaks HTTP/2, or as many as the backend says")
	f.IntVar(&b.StreamBuffer, "max-backend-stream-buffer-bytes", 256<<10, "content of an answer over HTTP/2 that its client has not taken yet; then the backend waits; 65536 or more")
	f.IntVar(&b.Limits.Head, "max-backend-head-bytes", 64<<10, "head of an answer; a larger one becomes 502")
	f.IntVar(&b.Limits.Fields, "max-backend-header-fields", 200, "header fields of an answer; with more it becomes 502")
}

// rest are the flags of what is neither a client's nor a backend's.
func rest(f *pflag.FlagSet, l *Limits) {
	f.IntVar(&l.Mirrors.Requests, "max-mirrored-requests", 256, "mirrored requests in flight at one time; further ones are dropped")
	f.IntVar(&l.Mirrors.Content, "max-mirrored-body-bytes", 64<<10, "content of a mirrored request; one with more is not mirrored")
	f.DurationVar(&l.Mirrors.Time, "mirror-timeout", 10*time.Second, "for a mirrored request and its answer")
	f.IntVar(&l.SessionBytes, "max-session-bytes", 0, "login sessions kept in memory; those unused for longest go; 0: an eighth of the memory, 536870912 at most")
}
