package h2

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

// replayable is how much content is kept so that it can be sent again, when a
// backend says it has not looked at the request.
const replayable = 64 << 10

var errRefused = errors.New("h2: the backend takes no more content")

// content is a request's content on its way from the goroutine that reads the
// client to the library's that writes the stream.
type content struct {
	mu      sync.Mutex
	moved   sync.Cond   // something below has changed
	offered []byte      // what write waits to be taken
	end     error       // behind what is offered: io.EOF, or why it is cut short
	refused error       // what write returns, when nobody takes more
	kept    []byte      // the content from its start, for another try
	keeping bool        // another try is possible
	trailer http.Header // goes behind it; complete when end is io.EOF, nil when there can be none
}

func newContent() *content {
	c := &content{keeping: true, trailer: http.Header{}}
	c.moved.L = &c.mu
	return c
}

func wholeContent(b []byte) *content {
	c := newContent()
	c.kept, c.end, c.trailer = b, io.EOF, nil
	return c
}

// write hands p over, and returns when it has been taken.
func (c *content) write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered = p
	c.moved.Broadcast()
	for len(c.offered) > 0 && c.refused == nil {
		c.moved.Wait()
	}
	c.offered = nil
	return c.refused
}

// finish ends the content: with trailer fields and io.EOF, or cut short.
func (c *content) finish(trailer exchange.Header, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == io.EOF {
		put(c.trailer, trailer)
	}
	if c.end == nil {
		c.end = err
	}
	c.moved.Broadcast()
}

// rewind reports whether the content can be sent from its start again.
func (c *content) rewind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keeping
}

// settle says that there will be no other try.
func (c *content) settle(last *attemptBody, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keeping = false
	if err != nil || last.closed {
		c.refused = errRefused
	}
	c.moved.Broadcast()
}

// detach lets go of the caller's memory.
func (c *content) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered, c.kept, c.keeping = nil, nil, false
	c.end, c.refused = errRefused, errRefused
	c.moved.Broadcast()
}

// attemptBody is the content as one try sends it: an io.ReadCloser.
type attemptBody struct {
	c       *content
	at      int         // how much of the kept content it has sent
	trailer http.Header // the library's; filled with the last Read
	closed  bool
}

// attempt returns the content for one more try of r.
func (c *content) attempt(r *http.Request) *attemptBody {
	b := &attemptBody{c: c}
	if c.trailer != nil {
		b.trailer = http.Header{}
		r.Trailer = b.trailer
	}
	r.Body = b
	return b
}

// Read implements io.Reader.
func (b *attemptBody) Read(p []byte) (int, error) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case b.closed:
			return 0, errRefused
		case b.at < len(c.kept):
			n := copy(p, c.kept[b.at:])
			b.at += n
			return n, nil
		case len(c.offered) > 0:
			return b.take(p), nil
		case c.end != nil:
			if c.end == io.EOF {
				maps.Copy(b.trailer, c.trailer)
			}
			return 0, c.end
		}
		c.moved.Wait()
	}
}

// take takes what is offered, and keeps it if that is not too much.
func (b *attemptBody) take(p []byte) int {
	c := b.c
	n := copy(p, c.offered)
	if c.keeping {
		if len(c.kept)+n > replayable {
			c.keeping = false
		} else {
			c.kept = append(c.kept, p[:n]...)
			b.at += n
		}
	}
	if c.offered = c.offered[n:]; len(c.offered) == 0 {
		c.moved.Broadcast()
	}
	return n
}

// Close implements io.Closer: this try sends no more.
func (b *attemptBody) Close() error {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	b.closed = true
	if !c.keeping { // else settle, or the next try, has to say
		c.refused = errRefused
	}
	c.moved.Broadcast()
	return nil
}
