package http1

import "net"

// tunnel is the client's side of a connection that has switched protocols.
type tunnel struct {
	net.Conn
	ahead []byte // what the client sent behind its request
}

// Read implements io.Reader.
func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.ahead) > 0 {
		n := copy(p, t.ahead)
		t.ahead = t.ahead[n:]
		return n, nil
	}
	return t.Conn.Read(p)
}

// CloseWrite tells the client that no more comes.
func (t *tunnel) CloseWrite() error {
	if h, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return t.Conn.Close()
}
