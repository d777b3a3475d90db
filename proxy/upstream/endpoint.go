package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/upstream/h2"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// How long an endpoint that could not be reached is left alone while there are
// others: doubled from the first to the last with each failure in a row.
const (
	downFirst = time.Second
	downLast  = 30 * time.Second
)

// Endpoint is one address of a backend, with its connections.
type Endpoint struct {
	cfg   *Config
	addr  netip.AddrPort
	busy  atomic.Int32 // exchanges under way
	pool  pool
	name  string       // addr as text
	open  atomic.Int32 // connections, idle or busy
	fails atomic.Int32 // in a row: times that it was left alone for
	down  atomic.Int64 // left alone until then, Unix nanoseconds
	wordy atomic.Bool  // it has sent content behind an answer that has none, such as one to HEAD

	streams atomic.Pointer[h2.Pool]   // the connections that speak HTTP/2
	secure  *atomic.Pointer[security] // the backend's
	full    *atomic.Uint64            // the backend's
}

func newEndpoint(addr netip.AddrPort, b *Backend) *Endpoint {
	e := &Endpoint{addr: addr, name: addr.String(), cfg: b.cfg, pool: pool{size: b.cfg.MaxIdle}, secure: &b.secure, full: &b.full}
	dialer := b.dialer
	if s := b.secure.Load(); s != nil {
		dialer = s.dialer
	}
	e.streams.Store(dialer.Pool(e.name))
	return e
}

// close closes the connections that are idle, and others with their last exchange.
func (e *Endpoint) close() {
	e.pool.close()
	e.streams.Load().Close()
}

// reached notes that the endpoint could be connected to.
func (e *Endpoint) reached() {
	e.fails.Store(0)
	e.down.Store(0)
}

// Address returns where the endpoint is.
func (e *Endpoint) Address() netip.AddrPort { return e.addr }

// up reports whether the endpoint may be asked, at now (Unix nanoseconds). A clock that was
// set back keeps nobody away for longer than they were to be.
func (e *Endpoint) up(now int64) bool {
	left := e.down.Load() - now
	return left <= 0 || left > int64(downLast)
}

// Conn is one connection to an endpoint.
type Conn struct {
	*socket.Conn
	secure *tls.Conn // nil: in the clear
	ep     *Endpoint
	idle   int64     // since when it is in the pool, Unix nanoseconds
	until  int64     // the read deadline that is armed, Unix nanoseconds
	reused bool      // it has carried an exchange before
	loaded bool      // and one of them had content
	long   bool      // and one of them had an answer that was not short
	unseen bool      // nobody looked at it before it was used again
	bare   bool      // its last answer had no content, and spoke of some
	seen   wire.Seen // what its last answer was made of
}

// dial makes a new connection for exchanges, by deadline at the latest (zero:
// ConnectTimeout alone bounds it). Errors are those a client is answered with.
func (e *Endpoint) dial(now, deadline time.Time) (*Conn, *exchange.Error) {
	nc, failed := e.connect(deadline)
	if failed != nil {
		return nil, failed
	}
	lost := func() {
		nc.Close()
		e.open.Add(-1)
		_ = e.unreached()
	}
	var over *tls.Conn
	if secure := e.secure.Load(); secure != nil {
		var err error
		if over, err = e.handshake(nc, secure.http, now, deadline); err != nil {
			lost()
			return nil, errInsecure
		}
	}
	s, err := socket.New(nc, e.cfg.WriteTimeout)
	if err != nil {
		lost()
		return nil, errUnreachable
	}
	e.reached()
	return &Conn{Conn: s, secure: over, ep: e}, nil
}

// connect opens a connection and counts it as open. Whether the endpoint was reached says
// the caller, who may need more than that.
func (e *Endpoint) connect(deadline time.Time) (*net.TCPConn, *exchange.Error) {
	if !deadline.IsZero() && !time.Now().Before(deadline) { // that says nothing of the endpoint
		return nil, errUnreachable
	}
	if int(e.open.Add(1)) > e.cfg.MaxConns {
		e.open.Add(-1)
		return nil, e.overloaded()
	}
	d := net.Dialer{Timeout: e.cfg.ConnectTimeout, Deadline: deadline, KeepAlive: -1, Control: socket.Bound}
	nc, err := d.DialContext(context.Background(), "tcp", e.name)
	if err != nil {
		e.open.Add(-1)
		return nil, e.unreached()
	}
	e.pool.prepare()
	return nc.(*net.TCPConn), nil
}

// overloaded counts a request that the endpoint has no room for.
func (e *Endpoint) overloaded() *exchange.Error {
	e.full.Add(1)
	return errOverloaded
}

// unreached notes that the endpoint could not be reached. Its time away begins now: that
// may have taken longer to find out than it is to last. While it lasts, those who were
// on their way already, or had nowhere else to go, say nothing new.
func (e *Endpoint) unreached() *exchange.Error {
	now, before := time.Now(), e.down.Load()
	if e.up(now.UnixNano()) {
		back := min(downFirst<<min(e.fails.Load(), 10), downLast)
		if e.down.CompareAndSwap(before, now.Add(back).UnixNano()) {
			e.fails.Add(1)
		}
	}
	return errUnreachable
}

// release puts c into the pool for the next request, at now (Unix nanoseconds), or
// closes it.
func (c *Conn) release(now int64) {
	c.reused, c.idle = true, now
	if !c.ep.pool.put(c) {
		c.close()
	}
}

func (c *Conn) close() {
	c.Conn.Close()
	c.ep.open.Add(-1)
}

// arm sets the read deadline: exactly, when the rule asks for it, else so that
// at least timeout is left, which needs no system call or lock most times.
func (c *Conn) arm(now, exact time.Time, timeout time.Duration) error {
	until := exact
	if exact.IsZero() {
		if c.armed(now.UnixNano(), timeout) {
			return nil
		}
		until = now.Add(2 * timeout)
	}
	c.until = until.UnixNano()
	return c.TCP().SetReadDeadline(until)
}

// armed reports whether the read deadline is timeout to twice that away.
func (c *Conn) armed(now int64, timeout time.Duration) bool {
	left := time.Duration(c.until - now)
	return left >= timeout && left <= 2*timeout
}

// pool is idle connections in a ring of slots, taken and given back with one
// atomic swap each; top is only a hint to where the used slots end: the one that
// was filled or emptied last.
type pool struct {
	slots  []atomic.Pointer[Conn]
	top    atomic.Uint32
	made   atomic.Bool // slots are, with the first connection; before nobody looks at them
	closed atomic.Bool
	size   int
	making sync.Mutex
}

// prepare makes the slots, if there are none.
func (p *pool) prepare() {
	p.making.Lock()
	defer p.making.Unlock()
	if !p.made.Load() {
		p.slots = make([]atomic.Pointer[Conn], p.size)
		p.made.Store(true)
	}
}

func (p *pool) get() *Conn {
	if !p.made.Load() {
		return nil
	}
	s := p.slots
	i := int(p.top.Load())
	for range s {
		if s[i].Load() != nil {
			if c := s[i].Swap(nil); c != nil {
				p.point(i)
				return c
			}
		}
		if i--; i < 0 {
			i = len(s) - 1
		}
	}
	return nil
}

// point makes i top, and leaves others its cache line where it is.
func (p *pool) point(i int) {
	if p.top.Load() != uint32(i) {
		p.top.Store(uint32(i))
	}
}

// put keeps c, and reports false when it is full or closed. The slots are made.
func (p *pool) put(c *Conn) bool {
	if p.closed.Load() {
		return false
	}
	s := p.slots
	i := int(p.top.Load())
	for range s {
		if s[i].Load() == nil && s[i].CompareAndSwap(nil, c) {
			p.point(i)
			// close may have swept this slot before c came.
			return !p.closed.Load() || !s[i].CompareAndSwap(c, nil)
		}
		if i++; i == len(s) {
			i = 0
		}
	}
	return false
}

// reap closes the connections idle since before first (Unix nanoseconds), and those since
// after last, which has yet to come: the clock was set back.
func (p *pool) reap(first, last int64) {
	if !p.made.Load() {
		return
	}
	for i := range p.slots {
		slot := &p.slots[i]
		// Taking it out first makes reading it safe; one that is young goes back.
		c := slot.Load()
		if c == nil || !slot.CompareAndSwap(c, nil) {
			continue
		}
		if c.idle < first || c.idle > last || !p.put(c) {
			c.close()
		}
	}
}

// close closes what is idle now and makes put refuse from now on.
func (p *pool) close() {
	p.closed.Store(true)
	if !p.made.Load() {
		return
	}
	for i := range p.slots {
		if c := p.slots[i].Swap(nil); c != nil {
			c.close()
		}
	}
}
