package socket

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// None of these waits, so the scheduler need not hear of them; see sysRead.

// sysAccept returns the next connection of a listening socket. Its descriptor
// blocks: what is done with it says for each call that it does not want that.
func sysAccept(of int) (fd int, peer netip.AddrPort, errno syscall.Errno) {
	var at syscall.RawSockaddrAny
	for {
		size := uint32(unsafe.Sizeof(at))
		n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(of), uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size)), syscall.SOCK_CLOEXEC, 0, 0)
		if errno != syscall.EINTR {
			return int(n), address(&at), errno
		}
	}
}

// sysPending reports whether a listening socket has something to accept, or an error to tell.
func sysPending(of int) bool {
	at := unix.PollFd{Fd: int32(of), Events: unix.POLLIN}
	var none unix.Timespec
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&at)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
		if errno != syscall.EINTR {
			return n != 0 || errno != 0
		}
	}
}

// sysLocal returns the address fd is reached at.
func sysLocal(fd int) netip.AddrPort {
	var at syscall.RawSockaddrAny
	size := uint32(unsafe.Sizeof(at))
	if _, _, errno := syscall.RawSyscall(syscall.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}
	}
	return address(&at)
}

func address(at *syscall.RawSockaddrAny) netip.AddrPort {
	switch at.Addr.Family {
	case syscall.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(at))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port(&a.Port))
	case syscall.AF_INET6:
		a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(at))
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.Scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(a.Scope_id), 10))
		}
		return netip.AddrPortFrom(ip, port(&a.Port))
	}
	return netip.AddrPort{}
}

// port reads a port, which is in network order.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

func sysClose(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func sysShutdown(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }

func sysLinger(fd, seconds int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(seconds)})
}
