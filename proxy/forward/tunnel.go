package forward

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// tunnel passes on the 101 and then everything, both ways, until both sides
// have ended or nothing has moved for TunnelIdle.
func (t *transfer) tunnel() {
	x := t.x
	w, ok := x.Writer.(exchange.Tunneler)
	if !ok {
		t.broken("upgrade_unsupported")
		return
	}
	if x.Writer.Head(x) != nil || x.Writer.Flush() != nil {
		t.broken("client_closed")
		return
	}
	client, err := w.Tunnel()
	if err != nil {
		t.broken("client_closed")
		return
	}
	backend, ahead := t.call.Stream()
	if backend.SetDeadline(time.Time{}) != nil {
		client.Close()
		return
	}
	i := newIdle(t.f.cfg.TunnelIdle, client, backend)
	defer i.stop()
	if _, err := client.Write(ahead); err != nil {
		client.Close()
		return
	}
	done := make(chan int64, 1)
	go func() { done <- i.copy(backend, client) }()
	x.Trace.BytesOut += int64(len(ahead)) + i.copy(client, backend)
	x.Trace.BytesIn += <-done
	client.Close()
}

// idle closes both ends of a tunnel when nothing has moved for a while.
type idle struct {
	limit time.Duration
	ends  [2]io.Closer
	moved atomic.Bool
	timer *time.Timer
}

func newIdle(limit time.Duration, a, b io.Closer) *idle {
	i := &idle{limit: limit, ends: [2]io.Closer{a, b}}
	i.timer = time.AfterFunc(time.Hour, i.check)
	i.timer.Reset(limit) // only now: check uses the timer
	return i
}

func (i *idle) check() {
	if i.moved.Swap(false) {
		i.timer.Reset(i.limit)
		return
	}
	i.close()
}

func (i *idle) stop() { i.timer.Stop() }

func (i *idle) close() {
	for _, c := range i.ends {
		c.Close()
	}
}

// copy copies until from ends, and tells to so. After a failure both ends are closed.
func (i *idle) copy(to io.Writer, from io.Reader) (n int64) {
	b := mem.GetLarge()
	defer mem.PutLarge(b)
	for {
		k, err := from.Read(b)
		if k > 0 {
			i.moved.Store(true)
			if _, werr := to.Write(b[:k]); werr != nil {
				i.close()
				return n
			}
			n += int64(k)
		}
		if err == io.EOF {
			if h, ok := to.(interface{ CloseWrite() error }); !ok || h.CloseWrite() != nil {
				i.close()
			}
			return n
		}
		if err != nil {
			i.close()
			return n
		}
	}
}
