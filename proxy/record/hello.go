package record

import (
	"crypto/tls"
	"errors"
	"net"
)

// Room is memory that connections share; admission's is one.
type Room interface {
	Take(n int) bool // n bytes more are taken; false: there was no room for them
	Give(n int)      // as much as Take was called with, whatever it said
}

const (
	usual = 16 << 10  // of a handshake, which counts with the connection; other servers take no longer ClientHello
	large = 128 << 10 // what crypto/tls may keep of more: it takes messages of 64 KiB, in buffers that double
)

var errHello = errors.New("record: there is no room for a handshake as large")

// hello is what a client has said in its handshake.
type hello struct {
	room Room // nil: nothing is counted
	came int
	took int
}

func (h *hello) take(n int) bool {
	if h.came += n; h.came <= usual || h.took > 0 {
		return true
	}
	h.took = large
	return h.room.Take(large)
}

// Bound makes the handshake to come, if the client says more in it than nearly all do, fail where
// room has nothing left. Without that each of many connections could have ten times the memory that is planned for it.
func (b *Below) Bound(room Room) { b.hello = hello{room: room} }

// Unbound says that the handshake is over. What it returns has been taken of room, and is for
// the caller to give back when the connection has ended.
func (b *Below) Unbound() (took int) {
	took = b.hello.took
	b.hello = hello{}
	return took
}

// mostIdle is what may come after the handshake before content does: the longest record (RFC 8446, section
// 5.2), and a few key updates. crypto/tls would keep messages of 64 KiB of which the end does not come.
const mostIdle = 20 << 10

var errIdle = errors.New("record: too much has come that is no content")

// content says that content has come.
func (b *Below) content() { b.told, b.idle = true, 0 }

// told is a TLS connection whose reads say when content comes.
type told struct {
	*tls.Conn
	below *Below
}

// Told returns t, whose handshake is done and over a Below, as one that ends where a client
// sends much that is no content. Nothing else may read t.
func Told(t *tls.Conn) net.Conn {
	b, ok := t.NetConn().(*Below)
	if !ok {
		return t
	}
	b.content()
	return told{t, b}
}

// Read implements io.Reader.
func (t told) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.below.content()
	}
	return n, err
}
