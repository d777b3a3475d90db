package forward

import (
	"sync/atomic"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

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
	return s, t.f.pipes.get()
}

// pipes are those that wait for content. A few do for many requests, which get and
// put them in turn, and those over them are closed: idle ones hold descriptors.
type pipes [2]atomic.Pointer[socket.Pipe]

func (s *pipes) get() *socket.Pipe {
	for i := range s {
		if p := s[i].Swap(nil); p != nil {
			return p
		}
	}
	return socket.NewPipe()
}

// put takes a pipe back, which may be nil. One that was not drained is not used again.
func (s *pipes) put(p *socket.Pipe) {
	if p == nil {
		return
	}
	if p.Empty() {
		for i := range s {
			if s[i].CompareAndSwap(nil, p) {
				return
			}
		}
	}
	p.Close()
}
