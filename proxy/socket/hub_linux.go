package socket

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hub is a Hub on Linux.
type hub struct {
	raw  syscall.RawConn // of the socket of the clients
	in   incoming
	out  outgoing
	poll poll

	mu     sync.Mutex
	spokes []*Spoke // by what the epoll knows them by; nil where that is free
	free   []int32
}

// incoming belongs to Receive.
type incoming struct {
	on    func(fd uintptr) bool // Hub.receive, bound once
	take  func(from Peer, d Datagrams)
	errno syscall.Errno
}

// outgoing belongs to Run: slots i to j of b are still to be sent.
type outgoing struct {
	on   func(fd uintptr) bool // Hub.send, bound once
	b    *block
	i, j int
}

// poll is what Run reads the spokes by: an epoll of its own, which the runtime's
// watches. So one goroutine is woken for all that is there, in place of one for each.
type poll struct {
	on     func(fd uintptr) bool // Hub.collect, bound once
	file   *os.File
	raw    syscall.RawConn
	fd     int
	events [batch]unix.EpollEvent
	ready  [batch]*Spoke
}

// NewHub returns the Hub of c. Close ends it; c is the caller's.
func NewHub(c *net.UDPConn) (*Hub, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // the runtime watches no other file
		return nil, errors.Join(err, unix.Close(fd))
	}
	h := &Hub{hub{raw: raw, poll: poll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}}}
	if h.poll.raw, err = h.poll.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, h.poll.file.Close())
	}
	h.in.on, h.out.on, h.poll.on = h.receive, h.send, h.collect
	return h, nil
}

// Close ends Run. Spokes are closed one by one, before or after.
func (h *Hub) Close() error { return h.poll.file.Close() }

// Datagrams came from one client, one after the other. They are gone when the
// function returns that they were handed to.
type Datagrams struct {
	Came time.Time
	b    *block
	i, j int
}

// Len returns how many there are.
func (d Datagrams) Len() int { return d.j - d.i }

// Receive hands what comes from clients to take, until the read deadline of the hub's
// socket passes or the socket is closed. take must not wait, nor close the socket.
func (h *Hub) Receive(take func(from Peer, d Datagrams)) error {
	h.in.take, h.in.errno = take, 0
	if err := h.raw.Read(h.in.on); err != nil {
		return err
	}
	return os.NewSyscallError("recvmmsg", h.in.errno)
}

func (h *Hub) receive(fd uintptr) bool {
	b := getBlock()
	defer putBlock(b)
	for {
		b.prepare()
		n, errno := b.mmsg(unix.SYS_RECVMMSG, fd, 0, batch)
		if errno != 0 {
			h.in.errno = errno
			return errno != syscall.EAGAIN
		}
		b.used = n
		now := time.Now()
		for i, j := 0, 0; i < n; i = j {
			for j = i + 1; j < n && b.peers[j] == b.peers[i]; {
				j++
			}
			h.in.take(b.peers[i], Datagrams{now, b, i, j})
		}
		if n < batch { // the call has seen that there is no more
			return false
		}
	}
}

// Run sends what backends send to the spokes on to their clients, until Close. What
// one datagram meets on the way is nothing to the next.
func (h *Hub) Run() { _ = h.poll.raw.Read(h.poll.on) }

// collect reads every spoke that has something, until none has.
func (h *Hub) collect(fd uintptr) bool {
	var b *block
	for {
		n := sysReady(fd, &h.poll.events)
		if n == 0 {
			if b != nil {
				putBlock(b)
			}
			return false
		}
		if b == nil {
			b = getBlock()
		}
		h.pass(b, h.find(n))
	}
}

// find returns the spokes of the first n events.
func (h *Hub) find(n int) []*Spoke {
	h.mu.Lock()
	for i := range n {
		h.poll.ready[i] = h.spokes[h.poll.events[i].Fd]
	}
	h.mu.Unlock()
	return h.poll.ready[:n]
}

// pass reads the spokes, each as much as its share of the block allows, and sends
// what there was.
func (h *Hub) pass(b *block, ready []*Spoke) {
	b.prepare()
	share := batch / len(ready)
	for _, s := range ready {
		if s != nil { // else it has been closed
			s.receive(b, share)
		}
	}
	clear(ready)
	if b.used == 0 {
		return
	}
	now := time.Now()
	h.out.b, h.out.i, h.out.j = b, 0, b.used
	if h.raw.Write(h.out.on) != nil {
		clear(b.owners[h.out.i:b.used])
	}
	h.out.b = nil
	for i, s := range b.owners[:b.used] {
		if s != nil {
			s.owner.Returned(int(b.heads[i].n), now)
		}
	}
}

func (h *Hub) send(fd uintptr) bool {
	o := &h.out
	for o.i < o.j {
		n, errno := o.b.mmsg(unix.SYS_SENDMMSG, fd, o.i, o.j)
		switch errno {
		case 0:
			o.i += n
		case syscall.EAGAIN:
			return false // until the socket has room
		default:
			o.b.owners[o.i] = nil
			o.i++
		}
	}
	return true
}
