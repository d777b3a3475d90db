// Package exchange is the protocol-neutral view of one request and its answer.
//
// The protocols (http1, http2, http3) fill an Exchange from the wire and hand it to the
// proxy's handler; router, auth, validate, filters and forward read and change
// it; the protocol's Writer takes the answer back to the client.
//
// An Exchange is reused for the next request of its connection. Every string in
// it may be a view of a connection's buffer: it is good until the exchange ends,
// and whoever keeps one longer clones it.
package exchange

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// Exchange is one request and its answer.
type Exchange struct {
	Request   Request
	Response  Response
	Conn      *Conn         // the client connection it came on
	Writer    Writer        // the way back to the client
	Start     time.Time     // when the request's head was complete
	Took      time.Duration // from Start until the handler was done with it; 0 where it did not look
	Vouched   bool          // an authority of the listener stands for Conn.Client
	Principal Principal     // who is calling, once authentication has decided
	Facts     []Fact        // what was fetched about the caller since then; nobody but expressions sees it
	Trace     Trace         // what happened, for the access log and the metrics
	Marker    Marker        // of the answers of our own; nil for none
	Granted   []Marker      // of a backend's answer: what those who let the request pass add to it
	Memory
	Context context.Context // ends when the client goes; nil where its protocol only tells those who read or write
	Carrier any             // forward's means to take a request to a backend; stays for the next one
}

// Conn is what the exchanges of one client connection share. What each of them
// looks at stands side by side.
type Conn struct {
	Local     netip.AddrPort // where the client connected, with the port callers know; see LocalAddr
	Peer      netip.AddrPort // address it connected from; one of IPv4 as such
	Target    uint16         // port of the socket where that is another than Local's (table.Listener); 0: Local's
	TLS       bool           //
	Exchanges int            // how many requests were read from it so far
	AltSvc    string         // where else the listener is served (RFC 7838); empty for nowhere
	Requests  Gate           // of those in flight on its port; nil: nobody counts them
	Client    *Client        // the certificate it showed; nil for none
	Socket    Socket         // knows the address of Local where that has none; else nil
	SNI       string         // server name the client asked for, lower case; empty without TLS
	Protocol  string         // "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"
	Limits    *table.Limits  // what its port allows, where that is less than what the process does; nil: the same
}

// Socket is what a connection is made of.
type Socket interface{ Local() netip.AddrPort }

// LocalAddr returns the address the client connected to.
func (c *Conn) LocalAddr() netip.Addr {
	if at := c.Local.Addr(); at.IsValid() || c.Socket == nil {
		return at
	}
	return c.Socket.Local().Addr()
}

// Gate lets so many requests in at one time. Who has entered must leave.
type Gate interface {
	Limited() bool
	Busy() bool // more than three quarters of the places are taken
	Enter() bool
	Leave()
}

// Count counts what is under way in all connections together, and bounds it by whoever asks
// whether it is Busy.
type Count interface {
	Take(n int) bool
	Give(n int)
	Busy() bool // more than three quarters of what there may be
}

// FilterResponse implements Marker: it tells the client of AltSvc.
func (c *Conn) FilterResponse(x *Exchange) { x.Response.Header.Set("alt-svc", c.AltSvc) }

// Request is what the client asked.
type Request struct {
	Method        string
	Scheme        string     // "http" or "https", as the client reached us
	Authority     string     // host[:port] from the request target, :authority or Host
	Host          string     // Authority without its port, lower case, no trailing dot
	Path          string     // absolute path as sent, still percent-encoded; "*" for OPTIONS *; once routed in the one form of paths
	RawQuery      string     // without the question mark
	TargetForm               // what Path and RawQuery do not say of the target
	Header        Header     // end-to-end fields in the order sent; hop-by-hop ones are gone
	ContentLength int64      // bytes of content; -1 when not known beforehand
	Body          Body       // nil when there is no content
	Trailer       Header     // complete once Body has returned io.EOF
	Reserved      []string   // field names, lower case, that the gateway alone sets: none of them is forwarded from Trailer
	Upgrade       string     // the protocol the client offers to switch to; empty for none
	ClientIP      netip.Addr // the caller behind trusted proxies; Conn.Peer's address without them
	Shared        string     // the origin that the answer may be shared with (CORS); empty for none
}

// TargetForm is how the target of a request may be read, and was written, beside its parts.
type TargetForm struct {
	Sent       string // Path as it came, once it has been routed and has another form; else empty
	Unveiled   string // Path as backends may read it that make more alike, where that is another one; else empty
	Unhosted   string // the same, to those that find a host's name behind two slashes; else empty
	Unscripted string // the same, to frameworks of PHP behind index.php; else empty
	EmptyQuery bool   // there was a question mark and nothing behind it
}

// Veiled reports whether there is another path that backends may read.
func (f *TargetForm) Veiled() bool { return f.Unveiled != "" || f.Unscripted != "" }

// Reread has look see the request with each of its other paths, until it reports false. scripts is
// whether that behind index.php is one: to who names that file itself it is not.
func (r *Request) Reread(scripts bool, look func() bool) {
	path, others := r.Path, [...]string{r.Unveiled, r.Unhosted, r.Unscripted}
	defer func() { r.Path = path }()
	if !scripts {
		others[2] = ""
	}
	for _, other := range others {
		if r.Path = other; other != "" && !look() {
			return
		}
	}
}

// Target returns the target in origin-form (RFC 9112, section 3.2.1).
func (r *Request) Target() string {
	if r.RawQuery == "" && !r.EmptyQuery {
		return r.Path
	}
	return r.Path + "?" + r.RawQuery
}

// Response is what the client is answered.
type Response struct {
	Status        int
	Header        Header // hop-by-hop fields are gone
	ContentLength int64  // -1 when not known beforehand
	Trailer       Header
	Body          []byte // content of an answer of our own; nil for a forwarded one
	Code          string // stable cause of an answer of our own: "no_route"; empty for a forwarded one
}

// Principal is who is calling.
type Principal struct {
	Method  string         // name of the authentication method that accepted; empty: nobody asked
	Subject string         //
	Claims  map[string]any // JWT claims, an API key's scopes, plan and metadata, or a certificate's names
	Cluster *ClusterUser   // as the cluster knows the caller; nil: it was not asked
	Token   string         // that proves who calls, or that the method holds for the caller, where there is one; never shown
	Expires int64          // when Token does, Unix seconds; 0: unknown
}

// Fact is what a metadata step has fetched.
type Fact struct {
	Name  string
	Value any // as proxy/expr has made it; requests share it, so it does not change
}

// ClusterUser is a caller as a Kubernetes cluster knows them
// (authentication.k8s.io/v1, UserInfo). Requests share it, so it does not change.
type ClusterUser struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
	Sum    [32]byte // of all this
}

// Trace is what happened to a request, in names that stay bounded.
type Trace struct {
	Listener string // table.Listener.ID
	Route    string // table.Action.Route
	Rule     string
	Backend  string         // table.Backend.ID it went to
	Endpoint netip.AddrPort // the address that answered last
	Retries  int
	BytesIn  int64 // content received
	BytesOut int64 // content sent
	Denied   string
	Policy   string // policy object behind Denied, or behind what Shadow would have denied
	Shadow   string // cause with which a Shadow policy would have denied
	ID       uint64 // decision id; 0 until something asks for it
	Steps    []Step // how it was judged; nil for a request that no policy refused
}

// Body is a request's content as it arrives. Another goroutine may read it while the
// answer is already being written.
type Body interface {
	// Next returns the next bytes, good until the following call, and io.EOF
	// at the end. The first call sends 100 Continue to a client that waits
	// for it. Other errors are *Error: what to answer if an answer is still possible.
	Next() ([]byte, error)
	// Continue sends 100 Continue to a client that waits for it; the goroutine
	// that answers calls it before the other one starts.
	Continue() error
	// Cancel makes the Next under way, and every later one, return an error.
	Cancel()
}

// Writer takes an answer to the client. Calls come in this order: Head, Write
// any number of times, End. An error means the client is gone. An answer that has
// begun and is not ended is broken off, so that the client can tell.
type Writer interface {
	// Head stages the status and header of x.Response. It may wait for the
	// first Write, Flush or End so as to leave in one packet.
	Head(x *Exchange) error
	// Write stages or sends content; p may be reused after it returns.
	Write(p []byte) (int, error)
	// Flush sends what is staged.
	Flush() error
	// End completes the answer with x.Response.Trailer and sends it.
	End(x *Exchange) error
}

// Tunneler is a Writer which can turn its connection into a tunnel, after a 101
// has been written with Head and Flush.
type Tunneler interface {
	// Tunnel returns the raw stream: bytes the client sent ahead come first.
	// The caller owns it and closes it.
	Tunnel() (net.Conn, error)
}

// Watched is a Writer that can tell, without waiting, whether its client has
// closed the connection: where there is no Context, that is how to know. One that
// has cannot be told from one that has only finished sending.
type Watched interface {
	Gone() bool
}

// Error is a failure with the answer it deserves.
type Error struct {
	Status int
	Code   string // stable cause, see docs/answers.md
	Detail string // one sentence a caller may see

	RetryAfter time.Duration // when it is worth trying again; 0: the answer does not say
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Reset makes x ready for the next request of its connection. Conn, Writer and Carrier stay.
func (x *Exchange) Reset() {
	x.Request = Request{Header: x.Request.Header[:0], Trailer: x.Request.Trailer[:0]}
	x.Response = Response{Header: x.Response.Header[:0], Trailer: x.Response.Trailer[:0]}
	x.Principal = Principal{}
	x.Forget()
	x.Trace = Trace{}
	x.Marker, x.Granted = nil, x.Granted[:0]
	x.Arena.Reset()
}

// Time returns when x came: when its head was complete.
func (x *Exchange) Time() time.Time {
	if x.Start.IsZero() { // no protocol has made it
		return time.Now()
	}
	return x.Start
}

// Forget drops the facts, and keeps the room for the next ones.
func (x *Exchange) Forget() {
	clear(x.Facts)
	x.Facts = x.Facts[:0]
}

// WriteReply sends the answer of our own that Reply, ReplyBody or Fail set up,
// in the form a gRPC client reads if the caller is one.
func (x *Exchange) WriteReply() error {
	if x.Marker != nil {
		x.Marker.FilterResponse(x)
	}
	if x.Conn != nil && x.Conn.AltSvc != "" {
		x.Conn.FilterResponse(x)
	}
	if x.GRPC() {
		return x.writeGRPC()
	}
	if err := x.Writer.Head(x); err != nil {
		return err
	}
	if len(x.Response.Body) > 0 && x.Request.Method != "HEAD" {
		if _, err := x.Writer.Write(x.Response.Body); err != nil {
			return err
		}
	}
	return x.Writer.End(x)
}

// Marker adds to the head of an answer: what its rule says of every answer, such
// as whom it may be shared with.
type Marker interface {
	FilterResponse(x *Exchange)
}

// Handler answers requests: the proxy, as the protocols see it. Handle returns
// when x's answer has been written, or cannot be.
type Handler interface {
	Handle(x *Exchange)
}
