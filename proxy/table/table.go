// Package table is the plain model the whole gateway turns on: what the control
// half decided, as values the data half serves by. It is the one package both
// halves know.
//
// controllers/compile builds a Table; proxy indexes it and swaps to it. Nothing
// here does I/O, holds a clock or points back into Kubernetes: a Table can be
// printed (Text), compared (Hash), written as JSON and loaded again, so the
// proxy, the benchmarks and the feature tests run with no cluster at all.
//
// A Table and everything it points to is immutable once it has been handed to
// the proxy. Parts that did not change between two tables are the same pointers:
// the proxy reuses what it built from them.
package table

import (
	"net/netip"
	"strings"
	"time"
)

// Table is everything the proxy serves by, at one moment.
type Table struct {
	Listeners []*Listener `json:"listeners,omitempty"` // by port, then by ID
	Backends  []*Backend  `json:"backends,omitempty"`  // by ID
	KeySets   []*KeySet   `json:"keySets,omitempty"`   // by ID; what jwt methods verify with
	Rejected  []Rejection `json:"rejected,omitempty"`  // parts of the configuration that serve an error, and why
}

// Rejection names a part of the configuration that could not be used and what
// a request which meets it is answered.
type Rejection struct {
	Object string `json:"object"` // "HTTPRoute shop/old rule 0"
	Reason string `json:"reason"` // one sentence
	Status int    `json:"status"` // what callers get
}

// Protocol says what a listener speaks, in Gateway API's words.
type Protocol string

// The protocols a listener can have.
const (
	HTTP  Protocol = "HTTP"
	HTTPS Protocol = "HTTPS"
	TLS   Protocol = "TLS"
	TCP   Protocol = "TCP"
	UDP   Protocol = "UDP"
)

// Listener is one Gateway listener. Several may share a port; the most specific
// Hostname wins (Gateway API, listener isolation).
type Listener struct {
	ID           string         `json:"id"`                     // namespace/gateway/listener
	Address      string         `json:"address,omitempty"`      // IP to bind; empty for all
	Port         uint16         `json:"port"`                   // as callers know it
	Target       uint16         `json:"target,omitempty"`       // to bind, where that is another: a load balancer leads from Port to it
	Protocol     Protocol       `json:"protocol"`               //
	Hostname     string         `json:"hostname,omitempty"`     // "", "a.example.com" or "*.example.com", lower case
	Certificates []*Certificate `json:"certificates,omitempty"` // HTTPS and TLS, in the listener's order
	Clients      *ClientCAs     `json:"clients,omitempty"`      // HTTPS: client certificates are asked for and checked
	HTTP3        uint16         `json:"http3,omitempty"`        // HTTPS: port of UDP to bind for HTTP/3, which callers know as Port; 0: it is not spoken
	Hosts        []*Host        `json:"hosts,omitempty"`        // HTTP and HTTPS, most specific first
	Streams      []*Stream      `json:"streams,omitempty"`      // TLS, TCP and UDP, most specific first
	Proxies      *Proxies       `json:"proxies,omitempty"`      // whose PROXY headers tell the client's address; nil: nobody's
	Limits       *Limits        `json:"limits,omitempty"`       // of the port; nil: the process's alone
}

// BindPort is the port to bind.
func (l *Listener) BindPort() uint16 {
	if l.Target != 0 {
		return l.Target
	}
	return l.Port
}

// Gateway returns the namespace/name of the Gateway the listener belongs to.
func (l *Listener) Gateway() string {
	for i := len(l.ID) - 1; i >= 0; i-- {
		if l.ID[i] == '/' {
			return l.ID[:i]
		}
	}
	return l.ID
}

// Certificate is a TLS server certificate with its private key.
type Certificate struct {
	ID    string `json:"id"`    // namespace/secret
	Chain []byte `json:"chain"` // PEM, leaf first
	Key   Secret `json:"-"`     // PEM
}

// Secret is bytes that never show: not in text, not in JSON, not in a log.
type Secret []byte

// String hides the value.
func (Secret) String() string { return "(secret)" }

// GoString hides the value from %#v too.
func (Secret) GoString() string { return "(secret)" }

// Host is the rules for one host name on one listener, in the order in which
// they are tried (Gateway API precedence; see controllers/compile).
type Host struct {
	Name  string  `json:"name"` // "a.example.com", "*.example.com" or "*" for any
	Rules []*Rule `json:"rules"`
}

// Rule is one match and what happens to the requests it takes. Matches of one
// route rule, and the same rule under several hosts, share one Action.
type Rule struct {
	Match  Match   `json:"match"`
	Action *Action `json:"action"`
}

// Action is what happens to a request a rule has taken, in this order: Reply,
// Auth, Validation, Filters, then forwarding to one of Backends.
type Action struct {
	Route            string            `json:"route"`                      // "HTTPRoute shop/orders"
	Rule             string            `json:"rule"`                       // the rule's name, or its index as "0"
	Reply            *Reply            `json:"reply,omitempty"`            // set: the rule is unusable, answer this to everyone
	Auth             *Auth             `json:"auth,omitempty"`             // nil: open
	ShadowAuth       *Auth             `json:"shadowAuth,omitempty"`       // evaluated and counted, never denies
	Validation       *Validation       `json:"validation,omitempty"`       //
	ShadowValidation *Validation       `json:"shadowValidation,omitempty"` //
	Filters          []Filter          `json:"filters,omitempty"`          // in the user's order
	Backends         []WeightedBackend `json:"backends,omitempty"`         // empty and no redirect: 500
	Timeouts         Timeouts          `json:"timeouts"`                   //
	Retry            *Retry            `json:"retry,omitempty"`            // nil: only what cannot have reached a backend is tried again
	Session          *Session          `json:"session,omitempty"`          // nil: each request may go anywhere, but for what Backends say
	GRPC             bool              `json:"grpc,omitempty"`             // of a GRPCRoute: its backends speak HTTP/2, whatever they are marked with
}

// Reply is an answer the gateway makes itself: problem+json (RFC 9457) unless
// Body is set.
type Reply struct {
	Status      int           `json:"status"`
	Code        string        `json:"code"`                  // stable cause, such as "backend_not_found"; docs/answers.md
	Detail      string        `json:"detail,omitempty"`      // one sentence a caller may see; nothing secret
	RetryAfter  time.Duration `json:"retryAfter,omitempty"`  // 0: no Retry-After header
	Body        string        `json:"body,omitempty"`        // replaces the problem document
	ContentType string        `json:"contentType,omitempty"` // of Body; text/plain when empty
}

// Timeouts of a rule (GEP-1742). Zero means none was set.
type Timeouts struct {
	Request time.Duration `json:"request,omitempty"` // whole exchange, client's head read to answer written
	Backend time.Duration `json:"backend,omitempty"` // one try of a backend
}

// WeightedBackend is one destination of a rule.
type WeightedBackend struct {
	Backend string   `json:"backend,omitempty"` // Backend.ID
	Weight  uint32   `json:"weight"`            // share of the sum of all weights; 0 takes nothing but sessions that were here before
	Filters []Filter `json:"filters,omitempty"` // for requests that go here only
	Reply   *Reply   `json:"reply,omitempty"`   // set: the reference is unusable, its share gets this
	Session *Session `json:"session,omitempty"` // of this backend, where the Action has none
}

// BackendProtocol is what a backend speaks.
type BackendProtocol string

// The protocols a backend can have (Service port appProtocol, GEP-1911).
const (
	BackendHTTP1 BackendProtocol = "http1"
	BackendH2C   BackendProtocol = "h2c"
	BackendTCP   BackendProtocol = "tcp" // of streams; what HTTP routes use too keeps the protocol it has there
	BackendUDP   BackendProtocol = "udp"
)

// The protocols of a backend behind TLS are chosen by ALPN from what the route
// needs: h2 for gRPC, otherwise HTTP/1.1.

// Backend is a destination; its addresses come by the endpoints door, not here.
type Backend struct {
	ID       string          `json:"id"` // namespace/service:port, for UDP namespace/service:port/udp, and with TLS what tells its settings apart: "shop/api:443 tls-0b5c2f9a81d4"
	Protocol BackendProtocol `json:"protocol"`
	TLS      *BackendTLS     `json:"tls,omitempty"`     // nil: in the clear
	Retries  *RetryBudget    `json:"retries,omitempty"` // nil: what rules say of retries is not bounded further
	Name     Name            `json:"name,omitzero"`     // its addresses are those of this name; none: they are endpoints'
}

// Name is a host name whose addresses a backend has, and the port it has there.
type Name struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

// Endpoints is the id that the backend's addresses come under: backends which
// differ in how they are reached share them.
func (b *Backend) Endpoints() string {
	id, _, _ := strings.Cut(b.ID, " ")
	return id
}

// Endpoint is one address of a backend.
type Endpoint struct {
	Address  netip.AddrPort `json:"address"`
	Draining bool           `json:"draining,omitempty"` // serving but terminating: used only when nothing else is left
}
