// Package relay joins two connections, of which each gets what the other sends.
//
// proxy/tcp calls it for connections that are relayed as they are, proxy/forward
// for those that have changed to another protocol, such as WebSocket. It calls
// poll, socket for system calls, and mem for buffers.
//
// Two TCP connections become a pair of descriptors in one loop of proxy/poll: one
// that is quiet holds no buffer of ours and one goroutine that waits for its end, and a message
// costs a read and a write. Small messages of several pairs that are there at once are
// all read before any of them is written. Where an end is decrypted here, or there is no
// such loop, there is a goroutine for each direction.
//
// One end that finishes sending does not end the other: the end is passed on, and
// the other direction lasts until it finishes too. One that goes while the other still
// sends ends both, but only once what it had said has been passed on.
package relay

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/poll"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// Relay joins connections.
type Relay struct {
	Idle time.Duration // both end when nothing has moved in either direction for this long, or when one takes nothing for as long, at most twice that
	Poll *poll.Set     // nil: a goroutine for each direction
}

// Count counts the bytes that were passed on, each as soon as it was.
type Count struct {
	In  *atomic.Uint64 // from the client to the backend
	Out *atomic.Uint64
}

// Join passes on between client and backend, either of which may be a
// socket.Ahead, until both have ended. It is false when the relay has been broken off: by an
// error, by Idle, or because somebody closed one of them or called Break. Both are
// of no more use then, and still to be closed.
func (r Relay) Join(client, backend net.Conn, n Count) bool {
	if p := r.pair(client, backend, n); p != nil {
		return p.run()
	}
	both := flows{idle: r.Idle, began: time.Now()}
	done := make(chan bool, 1)
	go func() { done <- both.copy(backend, client, n.In) }()
	ok := both.copy(client, backend, n.Out)
	return <-done && ok
}

// Break breaks off what loops of s, which may be nil, relay for those clients. Who closes
// clients' connections calls it afterwards: descriptors that have been taken over
// do not hear of that.
func Break(s *poll.Set, of func(client *net.TCPConn) bool) {
	if s == nil {
		return
	}
	s.Each(func(h poll.Handler) {
		if e, ok := h.(*end); ok && of(e.pair.client) {
			e.pair.finish(false)
		}
	})
}

// gone says that err comes from sending to a side that has closed its connection: there is an
// end to what it has said.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// bare returns what is below c if that is TCP, and what was read of it already.
func bare(c net.Conn) (tcp *net.TCPConn, ahead []byte) {
	if a, ok := c.(*socket.Ahead); ok {
		ahead, c = a.Bytes, a.Conn
	}
	tcp, _ = c.(*net.TCPConn)
	return tcp, ahead
}
