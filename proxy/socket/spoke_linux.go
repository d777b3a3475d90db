package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spoke is a socket to the backend of one client.
type Spoke struct {
	hub    *Hub
	client Peer
	owner  Owner
	id     int32

	mu sync.Mutex // keeps fd from being closed, and its number given to another socket, while a call is under way
	fd int        // -1 once closed
}

// Dial makes s, which is new, the Spoke of client.
func (h *Hub) Dial(s *Spoke, backend netip.AddrPort, client Peer, owner Owner) error {
	s.hub, s.client, s.owner, s.fd = h, client, owner, -1
	to, family, err := sockaddr(backend)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, to); err != nil {
		return errors.Join(os.NewSyscallError("connect", err), unix.Close(fd))
	}
	s.fd = fd
	h.add(s)
	if err := unix.EpollCtl(h.poll.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: s.id}); err != nil {
		s.Close()
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

func sockaddr(a netip.AddrPort) (to unix.Sockaddr, family int, err error) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	six := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		link, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, 0, err
		}
		six.ZoneId = uint32(link.Index)
	}
	return six, unix.AF_INET6, nil
}

func (h *Hub) add(s *Spoke) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.free); n > 0 {
		s.id, h.free = h.free[n-1], h.free[:n-1]
		h.spokes[s.id] = s
		return
	}
	s.id = int32(len(h.spokes))
	h.spokes = append(h.spokes, s)
}

// Close closes the Spoke. It may be called more than once, by anyone.
func (s *Spoke) Close() {
	s.mu.Lock()
	fd := s.fd
	s.fd = -1
	s.mu.Unlock()
	if fd < 0 {
		return
	}
	_ = unix.Close(fd) // epoll forgets it by that
	h := s.hub
	h.mu.Lock()
	h.spokes[s.id] = nil
	h.free = append(h.free, s.id)
	h.mu.Unlock()
}

// Send sends d to the backend. It returns how many bytes went out, and what did not
// because of err. What this machine has no room for is lost, as datagrams are.
func (s *Spoke) Send(d Datagrams) (sent int, left Datagrams, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return 0, d, net.ErrClosed
	}
	for d.Len() > 0 {
		n, errno := d.b.send(s.fd, d.i, d.j)
		if errno != 0 {
			if !ours(errno) {
				return sent, d, os.NewSyscallError("send", errno)
			}
			d.i++
		}
		for range n {
			sent += int(d.b.heads[d.i].n)
			d.i++
		}
	}
	return sent, d, nil
}

// ours says that an error is not the backend's but this machine's, or the datagram's.
func ours(errno syscall.Errno) bool {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EMSGSIZE, unix.EPERM:
		return true
	}
	return false
}

// receive reads what the backend sent into the block, at most n datagrams, for the client.
func (s *Spoke) receive(b *block, n int) {
	s.mu.Lock()
	if s.fd < 0 {
		s.mu.Unlock()
		return
	}
	n, errno := b.receive(s.fd, n)
	s.mu.Unlock()
	for range n {
		b.address(b.used, s)
		b.used++
	}
	if errno != 0 && errno != syscall.EAGAIN {
		s.owner.Broke(os.NewSyscallError("recv", errno))
	}
}
