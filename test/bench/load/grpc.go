package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// StreamPath is of streams whose messages come back one by one.
const StreamPath = "/bench.Echo/Stream"

// window is the flow control window both sides of ours open: it never closes in a run.
const window = 1<<31 - 1

// grpcMessage is a message of n bytes, in gRPC's framing: not compressed, its length, itself.
func grpcMessage(n int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(n)), bytes.Repeat([]byte("x"), n)...)
}

// fields are header lines in HPACK, without its dynamic table.
func fields(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // a buffer takes all
	}
	return b.Bytes()
}

// answerGRPC sends the data of each stream back as it comes, and ends the stream
// with status 0 when the client has ended its half.
func answerGRPC(c net.Conn) {
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	in := bufio.NewReaderSize(c, 64<<10)
	if _, err := io.ReadFull(in, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	out := bufio.NewWriterSize(c, 64<<10)
	f := http2.NewFramer(out, in)
	f.SetReuseFrames()
	e := &grpcEcho{
		framer:   f,
		head:     fields(":status", "200", "content-type", "application/grpc"),
		trailers: fields("grpc-status", "0"),
		open:     map[uint32]bool{},
	}
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
	_ = f.WriteWindowUpdate(0, window-65535)
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		frame, err := f.ReadFrame()
		if err != nil || e.take(frame) != nil {
			return
		}
	}
}

// grpcEcho is one connection of the gRPC backend. It sends small messages, and its
// peers open windows far wider than those, so it does not count their windows.
type grpcEcho struct {
	framer         *http2.Framer
	head, trailers []byte
	open           map[uint32]bool // streams whose head was answered
	received       uint32
}

func (e *grpcEcho) take(frame http2.Frame) error {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return e.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return e.framer.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		if err := e.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.head, EndHeaders: true}); err != nil {
			return err
		}
		e.open[id] = true
		if f.StreamEnded() {
			return e.end(id)
		}
	case *http2.DataFrame:
		if err := e.credit(f.Length); err != nil {
			return err
		}
		if !e.open[id] {
			return nil
		}
		if len(f.Data()) > 0 {
			if err := e.framer.WriteData(id, false, f.Data()); err != nil {
				return err
			}
		}
		if f.StreamEnded() {
			return e.end(id)
		}
	case *http2.RSTStreamFrame:
		delete(e.open, id)
	}
	return nil
}

// credit opens the connection's window again, a gigabyte at a time.
func (e *grpcEcho) credit(n uint32) error {
	if e.received += n; e.received < 1<<30 {
		return nil
	}
	n, e.received = e.received, 0
	return e.framer.WriteWindowUpdate(0, n)
}

func (e *grpcEcho) end(id uint32) error {
	delete(e.open, id)
	return e.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: e.trailers, EndHeaders: true, EndStream: true})
}

// Message is what a gRPC call with n bytes carries.
func Message(n int) string { return string(grpcMessage(n)) }
