package socket

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe takes bytes from one socket to another within the kernel, which moves pages
// and copies nothing. It belongs to one goroutine.
type Pipe struct {
	pipeEnds
	held int // bytes in it
	most int // of the Fill under way
	n    int
	err  syscall.Errno

	dropped runtime.Cleanup // closes it if nobody does

	onFill, onDrain func(fd uintptr) bool // bound once: no closure per call
}

type pipeEnds struct{ r, w int }

func (e pipeEnds) close() {
	_ = unix.Close(e.r)
	_ = unix.Close(e.w)
}

// pipeSize is how much a Pipe holds. Of 64 KiB, which is what the kernel gives
// without being asked, one system call moves too little to be worth it.
const pipeSize = 256 << 10

// NewPipe returns an empty pipe, or nil when the process may have no more
// descriptors, or no more memory in pipes (pipe(7)). It is to be closed.
func NewPipe() *Pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	p := &Pipe{pipeEnds: pipeEnds{r: fds[0], w: fds[1]}}
	if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err != nil {
		p.close()
		return nil
	}
	p.onFill, p.onDrain = p.fill, p.drain
	p.dropped = runtime.AddCleanup(p, pipeEnds.close, p.pipeEnds)
	return p
}

// Empty reports whether nothing is in the pipe, so that it can be used again.
func (p *Pipe) Empty() bool { return p.held == 0 }

// Close closes the pipe, and what is in it is lost.
func (p *Pipe) Close() {
	p.dropped.Stop()
	p.close()
}

// Fill takes up to most bytes from c into the pipe, which is empty. It waits as
// Conn.Read does, and returns what that would; or nothing and no error, where this
// kernel has no such way.
func (p *Pipe) Fill(c *Conn, most int64) (int, error) {
	if err := c.Settle(); err != nil {
		return 0, err
	}
	p.most = int(min(most, pipeSize))
	if err := c.raw.Read(p.onFill); err != nil {
		return 0, err
	}
	if p.err == syscall.EINVAL {
		return 0, nil
	}
	return result(p.n, p.err)
}

func (p *Pipe) fill(fd uintptr) bool {
	p.n, p.err = sysSplice(int(fd), p.w, p.most)
	if p.err == 0 {
		p.held += p.n
	}
	return p.err != syscall.EAGAIN
}

// Drain takes all that is in the pipe to c. It waits as Conn.Write does, and fails
// when c takes nothing for c's stall to twice that.
func (p *Pipe) Drain(c *Conn) error {
	for p.held > 0 {
		if err := c.armWrite(); err != nil {
			return err
		}
		p.n = 0
		if err := c.raw.Write(p.onDrain); err != nil {
			return err
		}
		if p.err != 0 && p.err != syscall.EAGAIN {
			return p.err
		}
	}
	return nil
}

// drain ends when c has taken something, so that it gets its time anew.
func (p *Pipe) drain(fd uintptr) bool {
	for p.held > 0 {
		var n int
		if n, p.err = sysSplice(p.r, int(fd), p.held); p.err != 0 {
			return p.n > 0 || p.err != syscall.EAGAIN
		}
		p.held -= n
		p.n += n
	}
	return true
}

// sysSplice never waits, so the scheduler need not hear of it; see sysRead.
func sysSplice(from, to, n int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
