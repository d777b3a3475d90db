package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/sync/errgroup"
)

// Types of HTTP/3's frames, and of its control stream (RFC 9114, sections 7.2 and 6.2.1).
const (
	controlStream = 0
	dataFrame     = 0
	headersFrame  = 1
	settingsFrame = 4
)

// http3 keeps as many requests under way on each connection as the load says. Their
// frames are written and read here: a client of net/http's kind costs more than the
// proxies that are measured, on a CPU that it shares with the backends.
func http3(ctx context.Context, s Spec) (Totals, error) {
	var answered atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range s.Connections {
		group.Go(func() error { return http3On(ctx, s, began, &answered) })
	}
	err := group.Wait()
	return Totals{Requests: answered.Load(), Microseconds: time.Since(began).Microseconds()}, err
}

// http3On is one connection.
func http3On(ctx context.Context, s Spec, began time.Time, answered *atomic.Int64) error {
	c, err := quic.DialAddr(ctx, s.Address, &tls.Config{
		ServerName: s.Host, InsecureSkipVerify: true, NextProtos: []string{"h3"}, //nolint:gosec // the certificate is the benchmark's own
	}, nil)
	if err != nil {
		return err
	}
	const noError = 0x100
	defer func() { _ = c.CloseWithError(noError, "") }() // all that was asked is answered
	control, err := c.OpenUniStream()
	if err != nil {
		return err
	}
	if _, err := control.Write([]byte{controlStream, settingsFrame, 0}); err != nil {
		return err
	}
	request, err := http3Request(s)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range s.Streams {
		group.Go(func() error {
			a := newAnswer3()
			for first := true; (first || time.Since(began).Seconds() < s.Seconds) && ctx.Err() == nil; first = false {
				if err := a.ask(ctx, c, request); err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

// http3Request is the whole of a request without content: its HEADERS frame.
func http3Request(s Spec) ([]byte, error) {
	var block bytes.Buffer
	e := qpack.NewEncoder(&block)
	for _, f := range []qpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: s.Host},
		{Name: ":path", Value: s.Path},
	} {
		if err := e.WriteField(f); err != nil {
			return nil, err
		}
	}
	frame := quicvarint.Append([]byte{headersFrame}, uint64(block.Len()))
	return append(frame, block.Bytes()...), nil
}

// answer3 reads the answers to one request after the other.
type answer3 struct {
	decoder *qpack.Decoder
	in      bytes.Buffer
	block   []byte // the last header block that was right,
	size    int    // and what it says of the content
}

func newAnswer3() *answer3 { return &answer3{decoder: qpack.NewDecoder()} }

// ask makes one request and tells whether its answer is 200 and whole.
func (a *answer3) ask(ctx context.Context, c *quic.Conn, request []byte) error {
	str, err := c.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if err := str.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := str.Write(request); err != nil {
		return err
	}
	if err := str.Close(); err != nil {
		return err
	}
	a.in.Reset()
	if _, err := a.in.ReadFrom(str); err != nil {
		return err
	}
	return a.take(a.in.Bytes())
}

// take reads the frames of an answer.
func (a *answer3) take(b []byte) error {
	block, b, err := cutFrame(b, headersFrame)
	if err != nil {
		return err
	}
	if !bytes.Equal(block, a.block) { // as a rule they differ once a second, by their date
		if err := a.head(block); err != nil {
			return err
		}
	}
	size := 0
	for len(b) > 0 {
		var data []byte
		if data, b, err = cutFrame(b, dataFrame); err != nil {
			return err
		}
		size += len(data)
	}
	if size != a.size {
		return fmt.Errorf("%d bytes of content, not %d", size, a.size)
	}
	return nil
}

// head reads a header block.
func (a *answer3) head(block []byte) error {
	status, size := "", -1
	for next := a.decoder.Decode(block); ; {
		f, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch f.Name {
		case ":status":
			status = f.Value
		case "content-length":
			if size, err = strconv.Atoi(f.Value); err != nil {
				return err
			}
		}
	}
	if status != "200" || size < 0 {
		return fmt.Errorf("answered %q with content of %d bytes", status, size)
	}
	a.block, a.size = append(a.block[:0], block...), size
	return nil
}

// cutFrame returns the content of the frame that b begins with, and what follows it.
func cutFrame(b []byte, want uint64) (content, rest []byte, err error) {
	kind, n, err := quicvarint.Parse(b)
	if err != nil {
		return nil, nil, err
	}
	length, m, err := quicvarint.Parse(b[n:])
	if err != nil {
		return nil, nil, err
	}
	b = b[n+m:]
	if kind != want || length > uint64(len(b)) {
		return nil, nil, fmt.Errorf("a frame of type %d and %d bytes where one of type %d was due", kind, length, want)
	}
	return b[:length], b[length:], nil
}
