package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sync/errgroup"
)

// streams opens gRPC streams and keeps one message under way on each: sent, sent
// back, sent again. It counts messages that came back.
func streams(ctx context.Context, s Spec) (Totals, error) {
	var echoed atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range s.Connections {
		group.Go(func() error {
			dialer := tls.Dialer{Config: &tls.Config{
				ServerName: s.Host, InsecureSkipVerify: true, NextProtos: []string{"h2"}, //nolint:gosec // the certificate is the benchmark's own
			}}
			c, err := dialer.DialContext(ctx, "tcp", s.Address)
			if err != nil {
				return err
			}
			defer c.Close()
			return streamsOn(c, s, began, &echoed)
		})
	}
	err := group.Wait()
	return Totals{Requests: echoed.Load(), Microseconds: time.Since(began).Microseconds()}, err
}

// streamer is one connection of streams.
type streamer struct {
	framer  *http2.Framer
	message []byte
	got     map[uint32]int // bytes of the message under way
	unread  uint32         // received since the connection's window was opened
	echoed  *atomic.Int64
}

func streamsOn(c net.Conn, s Spec, began time.Time, echoed *atomic.Int64) error {
	if err := c.SetDeadline(began.Add(time.Duration((s.Seconds + 10) * float64(time.Second)))); err != nil {
		return err
	}
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	f := http2.NewFramer(out, in)
	f.SetReuseFrames()
	l := &streamer{framer: f, message: grpcMessage(s.Body), got: map[uint32]int{}, echoed: echoed}
	if _, err := io.WriteString(out, http2.ClientPreface); err != nil {
		return err
	}
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	_ = f.WriteWindowUpdate(0, window-65535)
	head := fields(":method", "POST", ":scheme", "https", ":authority", s.Host, ":path", s.Path,
		"content-type", "application/grpc", "te", "trailers")
	for i := range s.Streams {
		id := uint32(2*i + 1)
		l.got[id] = 0
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true})
		if err := f.WriteData(id, false, l.message); err != nil {
			return err
		}
	}
	for time.Since(began).Seconds() < s.Seconds {
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if err := l.take(frame); err != nil {
			return err
		}
	}
	return nil
}

func (l *streamer) take(frame http2.Frame) error {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return l.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return l.framer.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			return fmt.Errorf("stream %d was ended", id)
		}
	case *http2.DataFrame:
		if l.unread += f.Length; l.unread > 1<<30 {
			if err := l.framer.WriteWindowUpdate(0, l.unread); err != nil {
				return err
			}
			l.unread = 0
		}
		l.got[id] += len(f.Data())
		if l.got[id] < len(l.message) {
			return nil
		}
		if l.got[id] > len(l.message) {
			return fmt.Errorf("stream %d: %d bytes came back of %d", id, l.got[id], len(l.message))
		}
		l.got[id] = 0
		l.echoed.Add(1)
		return l.framer.WriteData(id, false, l.message)
	case *http2.RSTStreamFrame:
		return fmt.Errorf("stream %d was reset: %v", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Errorf("the connection is going away: %v", f.ErrCode)
	}
	return nil
}
