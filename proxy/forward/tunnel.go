package forward

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/relay"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
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
	x.Response.Header = x.Response.Header[:0] // of the call, which forgets it
	backend, ahead := t.call.Stream()
	if backend.SetDeadline(time.Time{}) != nil {
		client.Close()
		return
	}
	var in, out atomic.Uint64
	both := relay.Relay{Idle: t.f.cfg.TunnelIdle, Poll: t.f.cfg.Poll}
	both.Join(client, &socket.Ahead{Conn: backend, Bytes: ahead}, relay.Count{In: &in, Out: &out})
	x.Trace.BytesIn += int64(in.Load())
	x.Trace.BytesOut += int64(out.Load())
	client.Close()
}
