package http1

import (
	"bytes"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// preface begins a connection of a client that knows we speak HTTP/2 (RFC 9113,
// section 3.4). As a request line it is refused for its version, so looking for
// it costs other requests nothing.
const preface = "PRI * HTTP/2.0"

// speaksHTTP2 reports whether the connection's first request, which cannot be
// parsed, is no request but the preface.
func (c *conn) speaksHTTP2() bool {
	return c.cfg.HTTP2 != nil && c.info.Exchanges == 0 && bytes.HasPrefix(c.ses.in[c.ses.r:c.ses.w], mem.Bytes(preface))
}

// serveHTTP2 hands the connection over, with what has been read of it.
func (c *conn) serveHTTP2() {
	ahead := bytes.Clone(c.ses.in[c.ses.r:c.ses.w])
	c.ses.release()
	c.ses = nil
	c.tunnel.Store(true) // Drain is the other server's business
	if nc, err := c.leave(); err == nil {
		c.cfg.HTTP2(nc, ahead, c.info)
	}
}
