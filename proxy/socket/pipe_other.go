//go:build !linux

package socket

import "errors"

// Pipe takes bytes from one socket to another within the kernel: here it cannot.
type Pipe struct{}

// NewPipe returns nil: there are none.
func NewPipe() *Pipe { return nil }

// Empty is never called.
func (*Pipe) Empty() bool { return true }

// Close is never called.
func (*Pipe) Close() {}

// Fill is never called.
func (*Pipe) Fill(*Conn, int64) (int, error) { return 0, errors.ErrUnsupported }

// Drain is never called.
func (*Pipe) Drain(*Conn) error { return errors.ErrUnsupported }
