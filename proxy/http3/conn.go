package http3

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/frame"
)

// Error codes (section 8.1; RFC 9204, section 6).
const (
	codeNo            = 0x100
	codeInternal      = 0x102
	codeCreation      = 0x103
	codeClosed        = 0x104
	codeUnexpected    = 0x105
	codeFrame         = 0x106
	codeLoad          = 0x107
	codeID            = 0x108
	codeSettings      = 0x109
	codeNoSettings    = 0x10a
	codeRejected      = 0x10b
	codeCancelled     = 0x10c
	codeIncomplete    = 0x10d
	codeMessage       = 0x10e
	codeDecompression = 0x200
	codeEncoder       = 0x201
	codeDecoder       = 0x202
)

// Types of unidirectional streams (section 6.2; RFC 9204, section 4.2).
const (
	streamControl = iota
	streamPush
	streamEncoder
	streamDecoder
)

// kept is how many workers without a request a connection keeps.
const kept = 8

// linger is how long a client that is asked to leave may still make requests, which
// were on their way; and how long it may then take to close the connection.
const linger = 500 * time.Millisecond

// conn is one connection.
type conn struct {
	srv  *Server
	cfg  *Config // the Server's, within what the port allows
	quic *quic.Conn
	info *exchange.Conn
	jobs chan *quic.Stream
	crew
	idle *time.Timer
	seen atomic.Uint32 // types of critical streams the client has opened

	mu      sync.Mutex
	control *quic.SendStream // nil until SETTINGS are sent
	open    int              // requests under way
	next    quic.StreamID    // no request was taken from this one on
	waste
	parting
}

// crew is the goroutines of a connection's requests.
type crew struct {
	running sync.WaitGroup
	free    atomic.Int32 // without a request
	unread  atomic.Int32 // whose request's head has not come
}

// waste is the client's requests that came to nothing through itself.
type waste struct {
	resets  frame.Bucket // how many more there may be
	flooded bool         // there were too many
}

// parting is how far the end of a connection is.
type parting struct {
	farewell quic.StreamID // of the last GOAWAY; 0: none was sent
	leaving  bool          // requests from next on are rejected
	since    time.Time     // when open became 0; at first, when the connection began
	heard    uint64        // packets from the client before it was told so
}

// unbounded is the identifier of a GOAWAY that says that another one follows
// (section 5.2).
const unbounded = 1<<62 - 4

func newConn(s *Server, c *quic.Conn, info *exchange.Conn) *conn {
	return &conn{
		srv: s, cfg: s.cfg.within(info), quic: c, info: info, jobs: make(chan *quic.Stream),
		waste:   waste{resets: frame.NewBucket(s.cfg.Resets, frame.ResetRate, time.Now())},
		parting: parting{since: time.Now()},
	}
}

func (k *conn) close(code quic.ApplicationErrorCode) { _ = k.quic.CloseWithError(code, "") }

func (k *conn) serve() {
	if err := k.greet(); err != nil {
		k.close(codeInternal)
		return
	}
	k.idle = time.AfterFunc(k.cfg.Timeouts.Idle, k.leave)
	defer k.idle.Stop()
	k.running.Go(k.accept)
	for {
		str, err := k.quic.AcceptStream(context.Background())
		if err != nil { // the connection has ended
			break
		}
		if !k.ready() {
			k.flood("header")
			continue
		}
		if k.cfg.Full != nil && k.cfg.Full() || !k.take(str) {
			str.CancelRead(codeRejected)
			str.CancelWrite(codeRejected)
			continue
		}
		k.expect(1)
		select {
		case k.jobs <- str:
		default:
			k.running.Go(func() { k.work(str) })
		}
	}
	close(k.jobs)
	k.running.Wait()
}

// patience is how long a connection's heads are waited for before another of its requests is
// taken, while there are too many of which the heads have not come.
const patience = time.Second

// ready waits until another request may be taken; false when the heads of others do not come. A
// head that takes its time costs a client a byte, and us as much as a request, before
// anybody could refuse that. Those of honest clients come at once.
func (k *conn) ready() bool {
	for until := time.Now().Add(patience); k.unread.Load() > 0 && k.crowded(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

// crowded reports whether the heads of too many requests of all connections have not come, or
// there is no memory for more of them.
func (k *conn) crowded() bool {
	return k.cfg.Heads != nil && k.cfg.Heads.Busy() || k.cfg.Full != nil && k.cfg.Full()
}

// expect counts n heads more, or -n less, that have not come.
func (k *conn) expect(n int) {
	k.unread.Add(int32(n))
	switch {
	case k.cfg.Heads == nil:
	case n > 0:
		k.cfg.Heads.Take(n)
	default:
		k.cfg.Heads.Give(-n)
	}
}

// flood ends the connection for one.
func (k *conn) flood(kind string) {
	if k.cfg.Flooded != nil {
		k.cfg.Flooded(kind)
	}
	k.close(codeLoad)
}

// greet opens the control stream (section 6.2.1).
func (k *conn) greet() error {
	str, err := k.quic.OpenUniStream()
	if err != nil {
		return err
	}
	const maxFieldSection = 6
	settings := quicvarint.Append(nil, maxFieldSection)
	settings = quicvarint.Append(settings, uint64(k.cfg.maxFields()))
	b := []byte{streamControl}
	b = appendFrame(b, frameSettings, len(settings))
	if _, err = str.Write(append(b, settings...)); err != nil {
		return err
	}
	k.mu.Lock() // leave may run already; SETTINGS go before its GOAWAY
	defer k.mu.Unlock()
	k.control = str
	return nil
}

// take counts a request in; false when the connection takes no more.
func (k *conn) take(str *quic.Stream) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.leaving {
		return false
	}
	k.next = str.StreamID() + 4
	if k.open++; k.open == 1 {
		k.idle.Stop()
	}
	return true
}

// work serves requests, beginning with str's, as long as there are some.
func (k *conn) work(str *quic.Stream) {
	for ok := true; ok; {
		k.done(k.request(str))
		if k.free.Add(1) > kept {
			k.free.Add(-1)
			return
		}
		str, ok = <-k.jobs
		k.free.Add(-1)
	}
}

// done counts a request out.
func (k *conn) done(f fate) {
	if k.srv.ending.Load() {
		k.goaway(unbounded)
	}
	if k.judge(f) {
		k.flood("resets")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open--; k.open > 0 {
		return
	}
	k.since = time.Now()
	if k.leaving {
		k.part()
	} else {
		k.idle.Reset(k.cfg.Timeouts.Idle)
	}
}

// judge reports that the client has taken back one request too many: each has cost a backend
// as much as one that is answered, and the streams that may be open do not bound them.
func (k *conn) judge(f fate) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case f == answered:
		k.resets.Gain(frame.ResetAnswer)
	case f == wasted && !k.flooded && !k.resets.Take(1, time.Now()):
		k.flooded = true
		return true
	}
	return false
}

// quiet reports that the connection has had no request for a while: none whose head has come.
func (k *conn) quiet() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open <= int(k.unread.Load()) && time.Since(k.since) > linger
}

// leave asks the client to leave. What it has sent before it knew is answered.
func (k *conn) leave() {
	k.goaway(unbounded)
	time.AfterFunc(linger, k.settle)
}

// settle takes no more requests, and closes once those under way are answered.
func (k *conn) settle() {
	k.mu.Lock()
	if k.leaving {
		k.mu.Unlock()
		return
	}
	k.leaving, k.heard = true, k.quic.ConnectionStats().PacketsReceived
	if k.open == 0 {
		k.part()
	}
	next := k.next
	k.mu.Unlock()
	k.goaway(next)
}

// part closes the connection if the client does not: not before it has had the time
// to take the last answer, for what it has not read then is lost to it. One that is
// not heard of any more is not waited for.
func (k *conn) part() {
	left, heard := time.Until(k.since.Add(k.cfg.Timeouts.Write)), k.heard
	time.AfterFunc(linger, func() {
		if left > linger && k.quic.ConnectionStats().PacketsReceived > heard {
			time.AfterFunc(left-linger, func() { k.close(codeNo) })
			return
		}
		k.close(codeNo)
	})
}

// goaway tells the client, unless it has been told, to make requests from id on
// elsewhere.
func (k *conn) goaway(id quic.StreamID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.control == nil || k.farewell != 0 && k.farewell <= id {
		return
	}
	k.farewell = max(id, 1)
	b := appendFrame(nil, frameGoaway, quicvarint.Len(uint64(id)))
	_ = k.control.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = k.control.Write(quicvarint.Append(b, uint64(id))) // a client that is gone needs none
}

// accept serves the client's unidirectional streams.
func (k *conn) accept() {
	for {
		str, err := k.quic.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		k.running.Go(func() { k.listen(str) })
	}
}

// listen serves one unidirectional stream.
func (k *conn) listen(str *quic.ReceiveStream) {
	in := input{str: str, buf: make([]byte, 64)}
	kind, err := in.varint()
	if err != nil {
		return // it ended before it said what it is (section 6.2)
	}
	switch kind {
	case streamControl, streamEncoder, streamDecoder:
		if bit := uint32(1) << kind; k.seen.Or(bit)&bit != 0 {
			k.close(codeCreation)
			return
		}
	case streamPush:
		k.close(codeCreation) // only servers push
		return
	default:
		str.CancelRead(codeCreation) // of an extension that is not spoken here
		return
	}
	switch kind {
	case streamControl:
		err = k.hear(&in)
	case streamEncoder:
		err = encoderOf(&in)
	default:
		err = decoderOf(&in)
	}
	if code, ok := err.(connError); ok { //nolint:errorlint // made here, never wrapped
		k.close(quic.ApplicationErrorCode(code))
	} else if err == io.EOF || err == errReset {
		k.close(codeClosed) // these streams stay (section 6.2.1)
	}
}

// hear reads the control stream.
func (k *conn) hear(in *input) error {
	var pushes, last uint64 = 0, 1 << 62 // of MAX_PUSH_ID and GOAWAY, which only grows and only shrinks
	for first := true; ; first = false {
		kind, length, err := in.frame()
		switch {
		case err != nil:
			return err
		case first && kind != frameSettings:
			return connError(codeNoSettings)
		case !first && kind == frameSettings, kind == frameData, kind == frameHeaders, kind == framePushPromise, reserved(kind):
			return connError(codeUnexpected)
		case kind == frameSettings && length > maxSettings:
			return connError(codeLoad)
		case kind == frameSettings:
			if err := settings(in, length); err != nil {
				return err
			}
		case kind == frameCancelPush:
			return connError(codeID) // none has been promised
		case kind == frameMaxPush, kind == frameGoaway: // both are about pushes
			id, err := number(in, length)
			if err != nil {
				return err
			}
			if kind == frameMaxPush && id < pushes || kind == frameGoaway && id > last {
				return connError(codeID)
			}
			if kind == frameMaxPush {
				pushes = id
			} else {
				last = id
			}
		default:
			if err := in.skip(length); err != nil {
				return err
			}
		}
	}
}

// number reads the payload of a frame that is one integer.
func number(in *input, length uint64) (uint64, error) {
	before := in.read
	n, err := in.varint()
	switch {
	case err != nil:
		return 0, inFrame(err)
	case in.read-before != length:
		return 0, connError(codeFrame)
	}
	return n, nil
}

// maxSettings bounds a SETTINGS frame: there is one of a connection.
const maxSettings = 4 << 10

// settings reads a SETTINGS frame. None of what a client may say in it concerns us:
// header blocks are written without the dynamic table.
func settings(in *input, length uint64) error {
	for length > 0 {
		before := in.read
		id, err := in.varint()
		if err == nil && in.read-before >= length {
			return connError(codeFrame) // it has no value
		}
		if err == nil {
			_, err = in.varint()
		}
		n := in.read - before
		switch {
		case err != nil:
			return err
		case n > length:
			return connError(codeFrame)
		case id == 0 || id >= 2 && id <= 5: // of HTTP/2 (sections 7.2.4.1 and 11.2.2)
			return connError(codeSettings)
		}
		length -= n
	}
	return nil
}

// decoderOf reads the client's QPACK decoder stream. No block of ours is such that it
// could be acknowledged, so all there can be is the number of a stream that the client
// does not read to its end (RFC 9204, section 4.4).
func decoderOf(in *input) error {
	const cancellation, number = 0x40, 0x3f
	for {
		b, err := in.byte()
		switch {
		case err != nil:
			return err
		case b&0xc0 != cancellation:
			return connError(codeDecoder)
		}
		for more := b&number == number; more; more = b&0x80 != 0 {
			if b, err = in.byte(); err != nil {
				return err
			}
		}
	}
}

// encoderOf reads the client's QPACK encoder stream. The dynamic table has no room,
// so nothing can be put in it: only its capacity may be said again to be 0.
func encoderOf(in *input) error {
	const capacity0 = 0x20
	for {
		b, err := in.byte()
		if err != nil {
			return err
		}
		if b != capacity0 {
			return connError(codeEncoder)
		}
	}
}
