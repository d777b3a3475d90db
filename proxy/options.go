package proxy

import (
	"cmp"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"

	"github.com/gatehouse-dev/gatehouse/proxy/admission"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/forward"
	"github.com/gatehouse-dev/gatehouse/proxy/guard"
	"github.com/gatehouse-dev/gatehouse/proxy/http1"
	"github.com/gatehouse-dev/gatehouse/proxy/http2"
	"github.com/gatehouse-dev/gatehouse/proxy/tcp"
	"github.com/gatehouse-dev/gatehouse/proxy/udp"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream"
)

// Options configure a Server. The zero value serves.
type Options struct {
	Version   string      // of the program, for the metrics
	Log       logr.Logger // what an operator should read; never requests
	Clients   Clients
	Backends  upstream.Config
	Mirrors   forward.Mirrors // what mirrored requests may cost
	AccessLog AccessLog
	Admin     string // address for metrics, health and debugging; default 127.0.0.1:9901
	Drain     Drain
	Memory    int64 // bytes the process may have; 0: nobody knows. Near it no more is taken on: 503 overloaded

	SessionBytes int // of login sessions kept in memory; 512 MiB, or what fits in Memory. Those unused for longest go

	// Bind says what address to bind for a listener's address and port, where
	// that is not the same: an unprivileged port, or port 0 for any that is free.
	Bind func(address string, port uint16) string
	// KeySets fetches what JWTs are verified with, and the tokens of logins; nil for a plain transport.
	KeySets http.RoundTripper
	Cluster guard.Cluster    // whose API server is asked about tokens and rights; by default there is none
	Now     func() time.Time // default time.Now
}

// Clients is what clients may use. Zero fields mean the default.
type Clients struct {
	HTTP1       http1.Config     // limits and timeouts; HTTP/2 goes by them too, as far as it has the same notion
	TCP         tcp.Config       // of TLSRoutes and TCPRoutes
	UDP         udp.Config       // of UDPRoutes
	Buffers     exchange.Buffers // of content over HTTP/2 and HTTP/3 that nobody has read yet
	Floods      http2.Floods     // of HTTP/2
	Streams     uint32           // open at one time on an HTTP/2 connection; 100
	Connections int              // open at one time; 32,768, or what fits in Memory
	Requests    int              // in flight at one time, 503 overloaded beyond; 16,384, or what fits in Memory; negative: no limit
	Handshake   time.Duration    // for TLS; 10 s
	Stream      time.Duration    // for which a gRPC client may be silent on a stream that has begun; 10 min
	Tunnel      time.Duration    // for which nothing may move in a tunnel, a WebSocket say; 10 min
	Trusted     []string         // addresses and prefixes of proxies in front whose X-Forwarded-* fields are believed
}

// AccessLog is one JSON line for a share of the requests.
type AccessLog struct {
	Writer io.Writer // nil: none
	Share  float64   // 0 to 1
}

// Drain is how a Server ends.
type Drain struct {
	Delay   time.Duration // from not ready to not accepting, for load balancers to notice; 5 s, negative for none
	Timeout time.Duration // for what is under way to finish; 30 s
}

func (o *Options) defaults() {
	if o.Admin == "" {
		o.Admin = "127.0.0.1:9901"
	}
	c := &o.Clients
	c.Streams = cmp.Or(c.Streams, 100)
	c.HTTP1.Pace.Busy = cmp.Or(c.HTTP1.Pace.Busy, 4096)
	c.Connections = cmp.Or(c.Connections, admission.Connections(o.Memory))
	c.Requests = cmp.Or(c.Requests, admission.Requests(o.Memory))
	// One backend that hangs leaves half of the requests to the others.
	o.Backends.Admission.Limit = cmp.Or(o.Backends.Admission.Limit, c.Requests/2)
	c.Handshake = cmp.Or(c.Handshake, 10*time.Second)
	c.Stream = cmp.Or(c.Stream, 10*time.Minute)
	o.SessionBytes = cmp.Or(o.SessionBytes, admission.SessionBytes(o.Memory))
	o.Drain.Delay = max(0, cmp.Or(o.Drain.Delay, 5*time.Second))
	o.Drain.Timeout = cmp.Or(o.Drain.Timeout, 30*time.Second)
}
