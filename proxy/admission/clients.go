package admission

import (
	"net/netip"
	"sync"
)

// Of Clients: how many parts they have, so that connects and closes seldom wait
// for each other, and how many addresses each counts at most.
const (
	shards   = 16
	perShard = 4096
)

// Clients bounds how many each client address has in at one time. It is asked
// when a connection begins and ends, never for a request. What it remembers is
// bounded: 65,536 addresses, and those that have nothing in are forgotten. When
// it knows so many, others come in uncounted: to refuse them would let whoever
// has so many addresses keep out everybody else.
type Clients struct {
	shards [shards]shard
}

// shard is the addresses of one part.
type shard struct {
	mu      sync.Mutex
	in      map[netip.Addr]int32
	refused uint64
}

// Enter reports whether one more may come in from a, of which limit may be in. If
// counted, it must Leave.
func (c *Clients) Enter(a netip.Addr, limit int) (ok, counted bool) {
	a = client(a)
	p := c.shard(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	n, known := p.in[a]
	switch {
	case int(n) >= limit:
		p.refused++
		return false, false
	case !known && len(p.in) >= perShard:
		return true, false
	case p.in == nil:
		p.in = map[netip.Addr]int32{}
	}
	p.in[a] = n + 1
	return true, true
}

// Leave takes back what Enter has counted.
func (c *Clients) Leave(a netip.Addr) {
	a = client(a)
	p := c.shard(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.in[a]; n > 1 {
		p.in[a] = n - 1
		return
	}
	if delete(p.in, a); len(p.in) == 0 {
		p.in = nil // a map keeps the room it once had
	}
}

// Figures of Clients: how many addresses have something in, and how often one was
// refused.
func (c *Clients) Figures() (f Figures) {
	for i := range c.shards {
		p := &c.shards[i]
		p.mu.Lock()
		f.In += len(p.in)
		f.Refused += p.refused
		p.mu.Unlock()
	}
	return f
}

// client is what counts as one: an IPv4 address, or the /64 that a host of IPv6
// has to itself (RFC 4291, section 2.5.4).
func client(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); !a.Is6() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}

func (c *Clients) shard(a netip.Addr) *shard {
	b := a.As16()
	h := uint32(2166136261) // FNV-1a: neighbours are spread, and nobody gains by what is not
	for _, v := range b {
		h = (h ^ uint32(v)) * 16777619
	}
	return &c.shards[h%shards]
}
