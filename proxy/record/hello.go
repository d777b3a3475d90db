package record

import "errors"

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
