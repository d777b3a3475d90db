package exchange

// Replay returns content of which the beginning has been read already: head,
// then what reading ended with if that is not nil, else what rest still gives. It
// is a Stream if rest is one.
func Replay(head []byte, err error, rest Body) Body {
	r := replayed{head: head, err: err, rest: rest}
	if s, ok := rest.(Stream); ok {
		return &replayedStream{r, s}
	}
	return &r
}

type replayed struct {
	head []byte
	err  error
	rest Body
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
	return r.rest.Next()
}

type replayedStream struct {
	replayed
	stream Stream
}

// Continue implements Stream.
func (r *replayedStream) Continue() error { return r.stream.Continue() }

// Cancel implements Stream.
func (r *replayedStream) Cancel() { r.stream.Cancel() }
