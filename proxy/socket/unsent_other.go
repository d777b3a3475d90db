//go:build !linux

package socket

import "syscall"

// Bound leaves connections as the system made them.
func Bound(string, string, syscall.RawConn) error { return nil }
