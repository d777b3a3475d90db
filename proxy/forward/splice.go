package forward

import "github.com/gatehouse-dev/gatehouse/proxy/socket"

// much is the content for which a pipe is worth its system calls.
const much = 128 << 10

// source is content that can go on within the kernel; see proxy/http1.
type source interface {
	Plain() bool
	Fill(p *socket.Pipe) int
}

// splice returns a pipe for what comes of the request's content, if that is much and
// is encrypted on neither side; it is to be put back. Otherwise, or when there is no
// pipe, it is nil, and content is copied.
func (t *transfer) splice() (source, *socket.Pipe) {
	r := &t.x.Request
	s, ok := r.Body.(source)
	if !ok || r.ContentLength < much || !s.Plain() || !t.call.Plain() {
		return nil, nil
	}
	return s, socket.GetPipe()
}
