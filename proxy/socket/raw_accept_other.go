//go:build !linux

package socket

import (
	"errors"
	"net/netip"
	"syscall"
)

// Never reached: without Drive there is none whom the poller does not know.

func sysAccept(int) (int, netip.AddrPort, syscall.Errno) { return 0, netip.AddrPort{}, syscall.EINVAL }

func sysPending(int) bool { return true }

func sysLocal(int) netip.AddrPort { return netip.AddrPort{} }

func sysClose(int) error { return errors.ErrUnsupported }

func sysShutdown(int) error { return errors.ErrUnsupported }

func sysLinger(int, int) error { return errors.ErrUnsupported }
