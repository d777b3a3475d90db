package socket

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the address of a client, as the kernel writes it: a socket address of
// IPv4 or IPv6 with zeros behind it. Peers can be compared.
type Peer [syscall.SizeofSockaddrInet6]byte

// batch is how many datagrams come or go with one system call.
const batch = 32

// slot is the room for one datagram. The pages behind a short one are never touched. A
// little more than a power of two, or the first bytes of all slots would compete for
// the same lines of the CPU's caches.
const slot = maxDatagram + 5*64

// block is the room for one batch, 2 MiB. It is held during one pass only, so that there
// are no more than the threads that run.
type block struct {
	heads  [batch]head
	vecs   [batch]syscall.Iovec
	peers  [batch]Peer
	owners [batch]*Spoke // of what is to be sent to clients
	data   []byte
	used   int // slots with something in them
}

// head is the kernel's struct mmsghdr.
type head struct {
	syscall.Msghdr
	n uint32 // bytes
}

var blocks = sync.Pool{New: func() any {
	b := &block{data: make([]byte, batch*slot), used: batch}
	for i := range b.heads {
		b.vecs[i].Base = &b.data[i*slot]
		b.heads[i].Iov = &b.vecs[i]
		b.heads[i].Iovlen = 1
	}
	return b
}}

func getBlock() *block { return blocks.Get().(*block) }

func putBlock(b *block) { blocks.Put(b) }

// prepare empties the slots.
func (b *block) prepare() {
	for i := range b.used {
		b.vecs[i].SetLen(maxDatagram)
		b.peers[i] = Peer{}
		b.heads[i].Name, b.heads[i].Namelen = &b.peers[i][0], uint32(len(Peer{}))
		b.owners[i] = nil
	}
	b.used = 0
}

// address makes what slot i has of s something to send to its client.
func (b *block) address(i int, s *Spoke) {
	b.vecs[i].SetLen(int(b.heads[i].n))
	b.peers[i] = s.client
	b.heads[i].Namelen = uint32(len(Peer{}))
	b.owners[i] = s
}

func (b *block) at(i int) []byte { return b.data[i*slot : i*slot+int(b.heads[i].n)] }

// receive reads up to n datagrams of a connected socket into the slots behind those used.
func (b *block) receive(fd, n int) (int, syscall.Errno) {
	if n > 1 {
		return b.mmsg(unix.SYS_RECVMMSG, uintptr(fd), b.used, b.used+n)
	}
	n, errno := sysRead(fd, b.data[b.used*slot:][:maxDatagram])
	if errno != 0 {
		return 0, errno
	}
	b.heads[b.used].n = uint32(n)
	return 1, 0
}

// send writes slots i to j to a connected socket and returns how many of them went.
func (b *block) send(fd, i, j int) (int, syscall.Errno) {
	if j-i == 1 {
		if _, errno := sysWrite(fd, b.at(i)); errno != 0 {
			return 0, errno
		}
		return 1, 0
	}
	for k := i; k < j; k++ {
		b.vecs[k].SetLen(int(b.heads[k].n))
		b.heads[k].Name, b.heads[k].Namelen = nil, 0
	}
	return b.mmsg(unix.SYS_SENDMMSG, uintptr(fd), i, j)
}

// mmsg is recvmmsg or sendmmsg of slots i to j.
func (b *block) mmsg(call, fd uintptr, i, j int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(&b.heads[i])), uintptr(j-i), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// sysReady is how many descriptors of an epoll have something, and which. It does not
// wait, so the scheduler need not hear of it.
func sysReady(fd uintptr, events *[batch]unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(events)), batch, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
