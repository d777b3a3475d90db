//go:build !linux

package socket

import "errors"

func duplicate(uintptr) (FD, error) { return 0, errors.ErrUnsupported }

// CloseWrite tells the peer that no more comes.
func (FD) CloseWrite() error { return errors.ErrUnsupported }

// Close closes it.
func (FD) Close() error { return errors.ErrUnsupported }
