package socket

import "syscall"

func duplicate(of uintptr) (FD, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, of, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return 0, errno
	}
	return FD(fd), nil
}

// CloseWrite tells the peer that no more comes.
func (fd FD) CloseWrite() error { return syscall.Shutdown(int(fd), syscall.SHUT_WR) }

// Close closes it.
func (fd FD) Close() error { return syscall.Close(int(fd)) }
