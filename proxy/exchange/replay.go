package exchange

import (
	"errors"
	"io"
)

// ErrTooLarge is why content was not held.
var ErrTooLarge = errors.New("the content is larger than what is held in memory")

// ErrNoRoom is why content was not held.
var ErrNoRoom = errors.New("more content is held in memory than there is room for")

// Room is for content that many requests hold at one time.
type Room interface {
	Take(n int) bool
}

// Hold reads the request's content, at most most bytes and as much as room has, which
// may be nil, to the end of buf, which grows where that is too small. x.Request.Body
// gives it again whatever happens, and what follows it. With ErrTooLarge, ErrNoRoom or
// what reading failed with comes what was read till then.
func (x *Exchange) Hold(buf []byte, most int64, room Room) ([]byte, error) {
	body := x.Request.Body
	for {
		p, err := body.Next()
		buf = append(buf, p...)
		switch {
		case int64(len(buf)) > most:
			x.Request.Body = Replay(buf, err, body)
			return buf, ErrTooLarge
		case len(p) > 0 && room != nil && !room.Take(len(p)):
			x.Request.Body = Replay(buf, err, body)
			return buf, ErrNoRoom
		case err == io.EOF && len(buf) > 0:
			x.Request.Body = &Buffered{Content: buf}
			return buf, nil
		case err == io.EOF:
			x.Request.Body = Replay(nil, io.EOF, body)
			return nil, nil
		case err != nil:
			x.Request.Body = Replay(buf, err, body)
			return buf, err
		}
	}
}

// Replay returns content of which the beginning has been read already: head,
// then what reading ended with if that is not nil, else what rest still gives.
func Replay(head []byte, err error, rest Body) Body {
	return &replayed{Body: rest, head: head, err: err}
}

type replayed struct {
	Body // the rest
	head []byte
	err  error
}

// Next implements Body.
func (r *replayed) Next() ([]byte, error) {
	switch {
	case len(r.head) > 0:
		p := r.head
		r.head = nil
		return p, nil
	case r.err != nil:
		return nil, r.err
	}
	return r.Body.Next()
}
