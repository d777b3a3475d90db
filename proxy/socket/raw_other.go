//go:build !linux

package socket

import "syscall"

// Raw says whether Drive is available.
const Raw = false

// Never reached: without Drive everything goes through net.TCPConn.

func sysRead(int, []byte) (int, syscall.Errno) { return 0, syscall.EINVAL }

func sysWrite(int, []byte) (int, syscall.Errno) { return 0, syscall.EINVAL }

func sysWriteMore(int, []byte) (int, syscall.Errno) { return 0, syscall.EINVAL }

func sysCloseWrite(int) {}

func sysWrite2(int, []byte, []byte) (int, syscall.Errno) { return 0, syscall.EINVAL }
