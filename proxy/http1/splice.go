package http1

import "github.com/gatehouse-dev/gatehouse/proxy/socket"

// Plain reports whether content comes from a socket as it is, so that a socket.Pipe
// can take it.
func (b *body) Plain() bool {
	c := b.s.conn
	return !b.chunked && c.sock != nil && c.sock == engine(c.own.clear)
}

// Fill takes what comes next of Plain content into p, past Next, and returns how
// much that is. When it is nothing, Next is to be called: it has what was read
// before, the end, or the error.
func (b *body) Fill(p *socket.Pipe) (n int) {
	s := b.s
	if b.done || b.err != nil || s.r < s.w || b.r < b.w {
		return 0
	}
	if b.err = b.proceed(); b.err != nil {
		return 0
	}
	n, b.err = b.await(func() (int, error) { return p.Fill(s.conn.own.clear, b.left) })
	b.left -= int64(n)
	b.total += int64(n)
	s.x.Trace.BytesIn = b.total
	if b.left == 0 {
		b.done = true
		b.complete.Store(true) // before the last bytes go on, as in take
	}
	return n
}
