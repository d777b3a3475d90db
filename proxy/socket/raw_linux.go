package socket

import (
	"syscall"
	"unsafe"
)

// Raw says whether Drive is available.
const Raw = true

// None of these calls waits, so they are short and the scheduler need not hear of
// them: that is what RawSyscall leaves out. recvfrom and sendto go to the socket
// directly; read and write reach it through the file layer, for a tenth of a
// microsecond more.

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) { return send(fd, p, 0) }

// sysWriteMore leaves what fills no packet for what comes behind it, 200 ms at most.
func sysWriteMore(fd int, p []byte) (int, syscall.Errno) { return send(fd, p, syscall.MSG_MORE) }

// sysCloseWrite sends the end, and what sysWriteMore has left.
func sysCloseWrite(fd int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SHUTDOWN, uintptr(fd), syscall.SHUT_WR, 0) // it fails when the peer has broken the connection
}

func send(fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags|syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func sysWrite2(fd int, a, b []byte) (int, syscall.Errno) {
	v := [2]syscall.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	v[0].SetLen(len(a))
	v[1].SetLen(len(b))
	m := syscall.Msghdr{Iov: &v[0], Iovlen: 2}
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
