package socket

import "time"

// Hub is a UDP socket that many clients send to, and a socket to a backend for each of
// them, its Spoke. Receive hands out what clients send; Run sends what backends
// send to the spokes on to the clients, from the hub's socket.
//
// On Linux datagrams move in batches: what many clients have sent is read with one system
// call, one goroutine reads all spokes that have something, and what it has read is
// sent with one call. Elsewhere they move one by one, and each spoke has a goroutine
// and a buffer.
type Hub struct{ hub }

// Owner is told what becomes of its Spoke, by Run. It must not wait.
type Owner interface {
	// Returned says that a datagram of n bytes went to the client.
	Returned(n int, now time.Time)
	// Broke says that the backend refuses datagrams: the Spoke is to be closed.
	Broke(err error)
}

// maxDatagram is the most that one can hold.
const maxDatagram = 64 << 10
