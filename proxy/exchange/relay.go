package exchange

// Content of streams that stay open need not wake anybody on its way. The reader of
// one connection hands it to the other connection itself, while the goroutine that
// works for the stream would only wait for more. What does not go through at once
// takes the long way, through that goroutine, and nothing overtakes it there. A
// protocol offers its side by Relayed or Relayer; what wraps a Body or a Writer so
// as to see the content offers neither, and sees all of it.

// Outlet is a connection that carries streams, as the reader of another one sees it.
type Outlet interface {
	// Pass stages all of p as content of a stream and has it sent soon; p may be
	// reused after it returns. It never waits. It returns false, and has taken
	// nothing, when that would be too much for a window or for the room that is left,
	// and when the stream has ended or takes something else now: the long way tells which.
	// The caller holds no lock, or that of a client's connection to pass to a backend's.
	Pass(stream uint32, p []byte) bool
}

// Relay is the way to one stream of an Outlet. It may be used after the stream has
// ended. The zero value leads nowhere.
type Relay struct {
	To     Outlet
	Stream uint32
}

// Pass hands p on; see Outlet.
func (r Relay) Pass(p []byte) bool { return r.To != nil && r.To.Pass(r.Stream, p) }

// Relayed is a Body whose content can be handed on without Next.
type Relayed interface {
	// Relay has content go to r, in order, while a Next waits: that one returns
	// what r has not taken, and the end. Nothing that came out of Next before
	// may be on its way to r by then.
	Relay(r Relay)
}

// Relayer is a Writer past which content can be handed on, between calls of it and
// after Flush.
type Relayer interface {
	Relay() Relay
}
