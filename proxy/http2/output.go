package http2

import (
	"runtime"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// outputLimit is how much is staged before writers wait, and the reader with
// them; a header block may go beyond it.
const outputLimit = mem.Large - 2<<10

// output is what a connection has to send. It is the job that sends it.
type output struct {
	c       *conn
	staged  []byte
	round   uint32    // counts how often staged was taken to be sent
	busy    bool      // a worker sends, or is about to
	failed  bool      // nothing can be sent any more
	last    bool      // the write deadline is that of the connection's end
	blocked int       // goroutines waiting for room, or for the connection's window
	armed   time.Time // the write deadline; the sender's alone

	// Since the reader last looked, for what the client may send.
	useful   int // idleGain of the content staged
	answered int // answers completed
}

// window is flow control in both directions (section 5.2), of the connection or a stream.
type window struct {
	send int64 // what the client takes
	recv int64 // what we still take
	used int64 // what was taken out of recv and is free again, but the client has not been told
}

// staged returns what is staged, for appending; stage puts it back.
func (c *conn) staged() []byte {
	if c.out.staged == nil {
		c.out.staged = mem.GetLarge()[:0]
	}
	return c.out.staged
}

func (c *conn) stage(b []byte) { c.out.staged = b }

// flush has what is staged sent, soon.
func (c *conn) flush() {
	if o := &c.out; len(o.staged) > 0 && !o.busy && !o.failed {
		o.busy = true
		c.srv.workers.start(o)
	}
}

// run sends what is staged until there is no more. It lets everyone else who can
// run go first, for they may have something to add.
func (o *output) run() {
	c := o.c
	for more := true; more; {
		runtime.Gosched()
		c.mu.Lock()
		b := o.staged
		o.staged = nil
		o.round++
		send := len(b) > 0 && !o.failed
		arm := !o.last
		c.mu.Unlock()
		var err error
		if send {
			err = c.write(b, arm)
		}
		if cap(b) == mem.Large {
			mem.PutLarge(b)
		}
		c.mu.Lock()
		if err != nil {
			c.fail()
		}
		more = len(o.staged) > 0 && !o.failed
		o.busy = more
		c.unblock()
		c.mu.Unlock()
	}
}

func (c *conn) write(b []byte, arm bool) error {
	if arm {
		now, stall := time.Now(), c.cfg.Timeouts.Write
		if c.out.armed.Sub(now) < stall {
			c.out.armed = now.Add(2 * stall)
			if err := c.nc.SetWriteDeadline(c.out.armed); err != nil {
				return err
			}
		}
	}
	_, err := c.nc.Write(b)
	return err
}

// fail says that nothing can be sent any more; the reader ends the connection.
func (c *conn) fail() {
	if c.out.failed {
		return
	}
	c.out.failed = true
	c.streams.each(func(st *stream) { c.abandon(st) })
	c.nudge()
}

// unblock wakes those who wait for the connection.
func (c *conn) unblock() {
	if c.out.blocked > 0 {
		c.streams.each(func(st *stream) { st.writer.wake.Signal() })
		c.wake.Signal()
	}
}

// pause is how the reader waits for something other than the client.
func (c *conn) pause() {
	c.out.blocked++
	c.mu.Unlock()
	<-c.wake.C
	c.mu.Lock()
	c.out.blocked--
}

// least is the smallest part of content for which a frame is begun in the room
// that is left.
const least = 512

// sendable returns how much of n bytes of content st can stage now.
func (c *conn) sendable(st *stream, n int) int {
	n = int(min(int64(n), st.window.send, c.window.send, int64(c.peer.frame)))
	if space := outputLimit - len(c.out.staged) - frame.HeadSize; space < n {
		if space < least {
			return 0
		}
		n = space
	}
	return max(n, 0)
}

// credit gives the connection's window n bytes back.
func (c *conn) credit(n int64) {
	w := &c.window
	if w.used += n; w.used >= int64(c.cfg.Buffers.Connection/2) {
		c.stage(frame.AppendWindowUpdate(c.staged(), 0, uint32(w.used)))
		w.recv += w.used
		w.used = 0
		c.flush()
	}
}

// credit gives the stream's window n bytes back, and the connection's.
func (st *stream) credit(n int64) {
	c, w := st.c, &st.window
	c.credit(n)
	if w.used += n; w.used >= int64(st.c.cfg.Buffers.Stream/2) && !st.closed && !st.gone {
		c.stage(frame.AppendWindowUpdate(c.staged(), st.id, uint32(w.used)))
		w.recv += w.used
		w.used = 0
		c.flush()
	}
}
