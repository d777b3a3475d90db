package socket

import "net"

// Ahead is a connection of which some bytes have been read already. They belong
// to whoever made it.
type Ahead struct {
	net.Conn
	Bytes []byte
}

// Read implements io.Reader.
func (a *Ahead) Read(p []byte) (int, error) {
	if len(a.Bytes) > 0 {
		n := copy(p, a.Bytes)
		a.Bytes = a.Bytes[n:]
		return n, nil
	}
	return a.Conn.Read(p)
}

// CloseWrite tells the peer that no more comes.
func (a *Ahead) CloseWrite() error { return CloseWrite(a.Conn) }

// CloseWrite tells c's peer that no more comes, or closes c.
func CloseWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}
