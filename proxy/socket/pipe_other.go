//go:build !linux

package socket

import "errors"

// Pipe takes bytes from one socket to another within the kernel: here it cannot.
type Pipe struct{}

// GetPipe returns nil: there are none.
func GetPipe() *Pipe { return nil }

// PutPipe takes back a pipe from GetPipe.
func PutPipe(*Pipe) {}

// Fill is never called.
func (*Pipe) Fill(*Conn, int64) (int, error) { return 0, errors.ErrUnsupported }

// Drain is never called.
func (*Pipe) Drain(*Conn) error { return errors.ErrUnsupported }
