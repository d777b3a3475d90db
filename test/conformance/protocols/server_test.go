package protocols

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// asServer names the reference server in the environment of a process that is to
// be a server.
const asServer = "GATEHOUSE_CONNECT_SERVER"

// Versions of HTTP, as the suite numbers them.
const (
	http1 = iota + 1
	http2
	http3
)

// wanted is what the suite asks of a server (ServerCompatRequest of its
// proto/connectrpc/conformance/v1/server_compat.proto).
type wanted struct {
	protocol, version, limit uint64
	tls                      bool
	clients                  []byte // PEM of what client certificates are signed by; nil: none are asked for
	cert, key                []byte // PEM of the server's
}

// serve is a server of the suite's: the reference server, behind a gateway. It
// ends when the suite says so.
func serve(t *testing.T, reference string) {
	stdout := os.Stdout
	os.Stdout = os.Stderr // the suite reads one message from there, and nothing that go test says
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM, os.Interrupt)

	message, err := receive(os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parse(message)
	if err != nil {
		t.Fatal(err)
	}
	backend := start(t, reference, want)
	w := feature.Start(t, objects(want, backend))
	n, err := strconv.ParseUint(port(t, w, ""), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(stdout, answer(n, want)); err != nil {
		t.Fatal(err)
	}
	<-done
}

// start runs the reference server in the clear, with HTTP/2 where callers have
// HTTP/3, and returns its address.
func start(t *testing.T, reference string, want wanted) string {
	t.Helper()
	server := exec.CommandContext(t.Context(), reference)
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	behind := want
	behind.version, behind.tls, behind.clients, behind.cert = min(want.version, http2), false, nil, nil
	if err := send(in, behind.message()); err != nil {
		t.Fatal(err)
	}
	message, err := receive(out)
	if err != nil {
		t.Fatal(err)
	}
	host, port := "127.0.0.1", uint64(0)
	err = fields(message, func(number protowire.Number, n uint64, b []byte) {
		switch number {
		case 1:
			host = string(b)
		case 2:
			port = n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10))
}

// parse reads a ServerCompatRequest.
func parse(message []byte) (w wanted, err error) {
	err = fields(message, func(number protowire.Number, n uint64, b []byte) {
		switch number {
		case 1:
			w.protocol = n
		case 2:
			w.version = n
		case 4:
			w.tls = n != 0
		case 5:
			w.clients = b
		case 6:
			w.limit = n
		case 7:
			err = fields(b, func(number protowire.Number, _ uint64, b []byte) {
				if number == 1 {
					w.cert = b
				} else {
					w.key = b
				}
			})
		}
	})
	return w, err
}

// message is the ServerCompatRequest of a server in the clear.
func (w *wanted) message() (b []byte) {
	for number, n := range map[protowire.Number]uint64{1: w.protocol, 2: w.version, 6: w.limit} {
		b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), n)
	}
	return b
}

// answer is a ServerCompatResponse.
func answer(port uint64, w wanted) (b []byte) {
	b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), "127.0.0.1")
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), port)
	if w.tls {
		b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), w.cert)
	}
	return b
}

// fields calls f with each field of a message: a number, or bytes.
func fields(b []byte, f func(number protowire.Number, n uint64, b []byte)) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		f(number, v, text)
		b = b[n:]
	}
	return nil
}

// receive reads a message behind its length, as the suite's programs speak.
func receive(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func send(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
