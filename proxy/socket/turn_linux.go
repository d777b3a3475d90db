package socket

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// pipe is what Step parks on.
type pipe struct {
	r, w *os.File
	raw  syscall.RawConn
	to   int // descriptor of w
	sent bool
	look func(fd uintptr) bool // Turns.arrived, bound once
}

func (t *Turns) open() (err error) {
	if t.pipe.r, t.pipe.w, err = os.Pipe(); err != nil {
		return err
	}
	if t.pipe.raw, err = t.pipe.r.SyscallConn(); err != nil {
		return errors.Join(err, t.Close())
	}
	to, err := t.pipe.w.SyscallConn()
	if err != nil {
		return errors.Join(err, t.Close())
	}
	t.pipe.look = t.arrived
	return to.Control(func(fd uintptr) { t.pipe.to = int(fd) })
}

// Close gives the pipe back. Step goes on to return, at once.
func (t *Turns) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pipe.look = nil
	return errors.Join(t.pipe.r.Close(), t.pipe.w.Close())
}

func (t *Turns) wait() {
	if t.pipe.look == nil {
		return
	}
	t.pipe.sent = false
	if t.pipe.raw.Read(t.pipe.look) != nil {
		return
	}
	// The runtime takes what has become ready from its end, so that it is the caller who
	// runs first: now it goes behind them.
	runtime.Gosched()
}

// arrived writes the byte, and is called again when there is something to read.
func (t *Turns) arrived(fd uintptr) bool {
	if !t.pipe.sent {
		t.pipe.sent = true
		_, err := syscall.Write(t.pipe.to, t.one[:])
		return err != nil
	}
	_, err := syscall.Read(int(fd), t.one[:])
	return !errors.Is(err, syscall.EAGAIN)
}
