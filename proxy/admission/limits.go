package admission

import "runtime"

// What one takes of memory, as docs/limits.md has it, and which part of the
// memory goes to all of them. The rest is for the configuration, for what the
// collector has not got to, and for content on its way over HTTP/2.
const (
	connectionBytes = 32 << 10 // idle, over TLS
	requestBytes    = 64 << 10 // in flight: head, buffers of both sides, stacks
	part            = 4
)

// takenApart is what a request may take while content that it holds is taken apart, beside that:
// JSON of 65,536 values, each an object of one member, becomes 20 MiB.
const takenApart = 32 << 20

// The limits where memory is no concern.
const (
	maxConnections  = 32 << 10
	maxRequests     = 16 << 10
	maxSessionBytes = 512 << 20
	maxAnswerBytes  = 64 << 20
	maxContentBytes = 512 << 20
	maxHelloBytes   = 256 << 20
)

// sessionPart is which part of the memory login sessions may have at most.
const sessionPart = 8

// answerPart is the same of answers that services of one kind gave.
const answerPart = 32

// contentPart is the same of content that requests hold, and of what it is taken apart into.
const contentPart = 8

// helloPart is the same of TLS handshakes in which a client says uncommonly much.
const helloPart = 16

// Connections is how many client connections may be open in a process of that
// much memory; not above 0: nobody knows how much.
func Connections(memory int64) int { return share(memory, part*connectionBytes, maxConnections) }

// Requests is the same for requests in flight.
func Requests(memory int64) int { return share(memory, part*requestBytes, maxRequests) }

// SessionBytes is how much of it login sessions may have.
func SessionBytes(memory int64) int { return share(memory, sessionPart, maxSessionBytes) }

// AnswerBytes is how much of it answers may have that are kept of services of one kind.
func AnswerBytes(memory int64) int { return share(memory, answerPart, maxAnswerBytes) }

// ContentBytes is how much of it content of requests may have that is held until somebody
// has looked at the whole of it.
func ContentBytes(memory int64) int { return share(memory, contentPart, maxContentBytes) }

// HelloBytes is how much of it TLS handshakes may have in which a client says uncommonly much.
func HelloBytes(memory int64) int { return share(memory, helloPart, maxHelloBytes) }

// Turns is of how many requests such content may be taken apart at one time, by its size.
type Turns struct{ Large, Small int }

// ContentTurns leave processors to others: half of them by what is large, one by what is small, which
// may be all that a gateway has to do. Where each computes for long, every step of all other
// requests waits until one is taken off its processor, some 10 ms; and where many requests do, for
// as many times that.
func ContentTurns(memory int64) Turns {
	all := runtime.GOMAXPROCS(0)
	return Turns{Large: max(1, min(ContentBytes(memory)/takenApart, all/2)), Small: max(1, all-1)}
}

// share is memory divided by parts, at most most; and most where nobody knows how much
// memory there is.
func share(memory, parts, most int64) int {
	if memory <= 0 {
		return int(most)
	}
	return int(max(1, min(memory/parts, most)))
}
