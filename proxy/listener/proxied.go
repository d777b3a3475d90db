package listener

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/proxyproto"
	tcp "github.com/gatehouse-dev/gatehouse/proxy/socket"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// headerTime is how long a load balancer may take to send its PROXY header.
const headerTime = 5 * time.Second

// client returns who is behind c, which comes from peer: whom the PROXY header
// names, else peer. ok is false when c cannot be served. Nothing behind the
// header is taken from c, so that what drives the connection sees it as it is.
func (k *socket) client(from *tcp.Accepted, by *table.Proxies, peer netip.AddrPort) (client netip.AddrPort, ok bool) {
	if !by.Contains(peer.Addr()) {
		return peer, by.Optional
	}
	c, err := from.TCP()
	if err != nil {
		return peer, false
	}
	if c.SetReadDeadline(time.Now().Add(min(headerTime, k.set.cfg.Limits.Handshake))) != nil {
		return peer, false
	}
	b := mem.GetSmall()
	defer mem.PutSmall(b)
	source, n, err := header(c, b)
	switch {
	case errors.Is(err, proxyproto.ErrNone) && by.Optional:
	case err != nil:
		return peer, false
	}
	if _, err := io.ReadFull(c, b[:n]); err != nil {
		return peer, false
	}
	if source.IsValid() {
		peer = source
	}
	return peer, c.SetReadDeadline(time.Time{}) == nil
}

// header looks at what has come until it is a header, or cannot become one.
func header(c *net.TCPConn, b []byte) (source netip.AddrPort, n int, err error) {
	failed := peek(c, b, func(got int) bool {
		source, n, err = proxyproto.Parse(b[:got])
		return n > 0 || err != nil
	})
	return source, n, errors.Join(failed, err)
}
