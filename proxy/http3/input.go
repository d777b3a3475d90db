package http3

import (
	"errors"
	"io"
	"os"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// Types of frames (section 7.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoaway      = 0x7
	frameMaxPush     = 0xd
)

// reserved reports frame types of HTTP/2 that have no meaning here (section 7.2.8).
func reserved(kind uint64) bool { return kind == 2 || kind == 6 || kind == 8 || kind == 9 }

// connError is the code of a fault that ends the connection.
type connError uint64

// Error implements error.
func (e connError) Error() string { return "http3: connection error" }

// How a stream can end but for io.EOF, which is only between frames.
var (
	errReset = errors.New("http3: the stream was reset, or its connection has ended")
	errLate  = errors.New("http3: the stream's deadline has passed")
)

// input reads the frames of one stream.
type input struct {
	str  io.Reader // *quic.Stream, *quic.ReceiveStream
	buf  []byte
	r, w int    // what has been received and not been read
	read uint64 // bytes so far
	end  bool   // nothing follows what has been received
}

// fill receives more; there is room for it.
func (in *input) fill() error {
	if in.end {
		return io.EOF
	}
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf):
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	n, err := in.str.Read(in.buf[in.w:])
	in.w += n
	switch {
	case err == nil:
	case err == io.EOF:
		if in.end = true; n == 0 {
			return io.EOF
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errLate
	default:
		return errReset
	}
	return nil
}

func (in *input) byte() (byte, error) {
	for in.r == in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.r]
	in.r++
	in.read++
	return b, nil
}

// varint reads an integer (RFC 9000, section 16). A stream that ends in it has
// been cut off in a frame.
func (in *input) varint() (uint64, error) {
	first, err := in.byte()
	if err != nil {
		return 0, err
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := in.byte()
		if err != nil {
			return 0, inFrame(err)
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// inFrame is err where a frame has not ended (section 7.1).
func inFrame(err error) error {
	if err == io.EOF {
		return connError(codeFrame)
	}
	return err
}

// frame reads the type and length of the next frame; io.EOF when there is none.
func (in *input) frame() (kind, length uint64, err error) {
	if kind, err = in.varint(); err != nil {
		return 0, 0, err
	}
	length, err = in.varint()
	return kind, length, inFrame(err)
}

// skip reads n bytes that nobody wants.
func (in *input) skip(n uint64) error {
	for n > 0 {
		p, err := in.some(n)
		if err != nil {
			return inFrame(err)
		}
		n -= uint64(len(p))
	}
	return nil
}

// some reads from 1 to n bytes; they are good until the next call.
func (in *input) some(n uint64) ([]byte, error) {
	for in.r == in.w {
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	m := int(min(n, uint64(in.w-in.r)))
	p := in.buf[in.r : in.r+m]
	in.r += m
	in.read += uint64(m)
	return p, nil
}

// whole reads n bytes, for which there need not be room: that is made as they come, for
// to say how many will come costs a client nothing. They are good until the next call.
func (in *input) whole(n int) ([]byte, error) {
	for in.w-in.r < n {
		if in.r == 0 && in.w == len(in.buf) {
			in.grow(min(n, 2*len(in.buf)))
		}
		if err := in.fill(); err != nil {
			return nil, inFrame(err)
		}
	}
	p := in.buf[in.r : in.r+n]
	in.r += n
	in.read += uint64(n)
	return p, nil
}

// grow makes room for n bytes.
func (in *input) grow(n int) {
	old := in.buf
	if n <= mem.Large {
		in.buf = mem.GetLarge()
	} else {
		in.buf = make([]byte, n)
	}
	in.w = copy(in.buf, old[in.r:in.w])
	in.r = 0
	release(old)
}

// release gives back a buffer that came from a pool.
func release(b []byte) {
	switch cap(b) {
	case mem.Small:
		mem.PutSmall(b)
	case mem.Large:
		mem.PutLarge(b)
	}
}

// appendFrame appends the type and length of a frame.
func appendFrame(dst []byte, kind uint64, length int) []byte {
	return quicvarint.Append(quicvarint.Append(dst, kind), uint64(length))
}
