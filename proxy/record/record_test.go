package record

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/socket"
)

// held is the client's connection below crypto/tls: what crypto/tls writes can be
// kept, to be sent in other pieces.
type held struct {
	*net.TCPConn
	hold bool
	kept []byte
	read []byte // all that came
}

func (h *held) Write(p []byte) (int, error) {
	if h.hold {
		h.kept = append(h.kept, p...)
		return len(p), nil
	}
	return h.TCPConn.Write(p)
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.TCPConn.Read(p)
	h.read = append(h.read, p[:n]...)
	return n, err
}

// link is a TLS connection on loopback, of which the server's end is driven.
type link struct {
	t      testing.TB
	below  *held
	client *tls.Conn
	nc     *tls.Conn
	server *Conn
	steps  chan struct{} // a step that found nothing more
	ended  chan error    // how echo ended
}

// connect does the handshake, of which nothing is left on its way afterwards. It
// returns nil where there is no engine.
func connect(t testing.TB, client *tls.Config) *link {
	t.Helper()
	if !socket.Raw {
		t.Log("no raw engine on this system: nothing to drive")
		return nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
	}
	if client == nil {
		client = &tls.Config{}
	}
	client.InsecureSkipVerify = true
	l := &link{t: t, below: &held{TCPConn: a.(*net.TCPConn)}, server: Unused(), steps: make(chan struct{}, 1000), ended: make(chan error, 1)}
	l.client = tls.Client(l.below, client)
	l.nc = tls.Server(NewBelow(b.(*net.TCPConn), nil), &tls.Config{Certificates: []tls.Certificate{certificate()}, ClientAuth: tls.RequestClientCert})
	var shaking sync.WaitGroup
	shaking.Go(func() {
		if err := l.nc.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := l.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	shaking.Wait()
	if ok, err := l.server.Use(l.nc, 10*time.Second); !ok || err != nil {
		t.Fatalf("got %v, %v; want a connection that can be driven", ok, err)
	}
	return l
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// echo has the server send back what comes, read in pieces of size.
func (l *link) echo(size int) {
	go func() {
		buf := make([]byte, size)
		var last error
		err := l.server.Drive(func() bool {
			for {
				n, err := l.server.TryRead(buf)
				if err == socket.ErrWouldBlock {
					break
				}
				if last = err; err != nil {
					return true
				}
				if _, last = l.server.Write(buf[:n]); last != nil {
					return true
				}
				if n < size {
					break
				}
			}
			select {
			case l.steps <- struct{}{}:
			default:
			}
			return false
		})
		l.ended <- errors.Join(err, last)
	}()
}

// step waits until the server has found nothing more since the last look.
func (l *link) step() {
	l.t.Helper()
	select {
	case <-l.steps:
	case err := <-l.ended:
		l.t.Fatalf("the server has ended with %v", err)
	case <-time.After(20 * time.Second):
		l.t.Fatal("no step in 20 s")
	}
}

// settle forgets the steps that have been.
func (l *link) settle() {
	for {
		select {
		case <-l.steps:
		default:
			return
		}
	}
}

// sealed returns the records that texts make, one each.
func (l *link) sealed(texts ...string) [][]byte {
	l.t.Helper()
	l.below.hold = true
	var all [][]byte
	for _, s := range texts {
		l.below.kept = nil
		if _, err := io.WriteString(l.client, s); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, l.below.kept)
	}
	l.below.hold, l.below.kept = false, nil
	return all
}

func (l *link) send(b []byte) {
	l.t.Helper()
	if _, err := l.below.TCPConn.Write(b); err != nil {
		l.t.Fatal(err)
	}
}

func (l *link) want(text string) {
	l.t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(l.client, got); err != nil || string(got) != text {
		l.t.Fatalf("got %.80q, %v; want %.80q", got, err, text)
	}
}

// TestSplit sends a record in two pieces, cut at each of its bytes, the server
// looking at each piece by itself.
func TestSplit(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.echo(64)
	l.step()
	const text = "a record in two pieces"
	size := len(l.sealedOnce(text))
	for i := 1; i < size; i++ {
		b := l.sealed(text)[0]
		l.settle()
		l.send(b[:i])
		l.step()
		l.send(b[i:])
		l.want(text)
	}
}

// sealedOnce sends text, takes it back, and returns the record it made.
func (l *link) sealedOnce(text string) []byte {
	b := l.sealed(text)[0]
	l.send(b)
	l.want(text)
	return b
}

// TestTogether sends several records in one piece, with the next's beginning, to
// readers of several sizes: none may be left with crypto/tls.
func TestTogether(t *testing.T) {
	for _, size := range []int{1, 7, 8, 9, 64, 4096, 20000} {
		l := connect(t, nil)
		if l == nil {
			return
		}
		l.echo(size)
		l.step()
		texts := []string{"one", "eight by", strings.Repeat("large ", 1000), "last"}
		for cut := range 3 {
			all := l.sealed(texts...)
			next := l.sealed("next")[0]
			l.send(append(bytes.Join(all, nil), next[:3*cut]...))
			l.want(strings.Join(texts, ""))
			l.send(next[3*cut:])
			l.want("next")
		}
		l.sealedOnce(strings.Repeat("x", size)) // as much as was asked for
		l.sealedOnce("more")
	}
}

// TestEnd checks that an end is seen at once: alone, behind content in the same
// piece, and in the middle of a record.
func TestEnd(t *testing.T) {
	for name, cut := range map[string]func(l *link){
		"alone": func(l *link) { l.client.CloseWrite() },
		"behind content": func(l *link) {
			b := l.sealed("bye")[0]
			l.below.hold = true
			l.client.CloseWrite()
			l.below.hold = false
			l.below.SetWriteDeadline(time.Time{}) // crypto/tls lets nothing follow
			l.send(append(b, l.below.kept...))
			l.want("bye")
		},
		"without a notice": func(l *link) { l.below.CloseWrite() },
		"within a record": func(l *link) {
			l.settle()
			l.send(l.sealed("never")[0][:9])
			l.step() // an end in the same packet is seen by those who ask again
			l.below.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := connect(t, nil)
			if l == nil {
				return
			}
			l.echo(64)
			l.step()
			l.client.SetWriteDeadline(time.Now().Add(20 * time.Second))
			cut(l)
			want := io.EOF
			if name == "within a record" {
				want = io.ErrUnexpectedEOF
			}
			if err := <-l.ended; !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		})
	}
}

// TestBroken checks that a record which was tampered with ends the connection.
func TestBroken(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.echo(64)
	b := l.sealed("good", "evil")
	b[1][12] ^= 1
	l.send(bytes.Join(b, nil))
	if err := <-l.ended; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a refused record", err)
	}
	if _, err := io.ReadAll(l.client); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
		t.Fatalf("got %v, want the alert", err)
	}
}

// TestLargeBothWays has more go both ways than the kernel holds, to a client which
// reads late.
func TestLargeBothWays(t *testing.T) {
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(i * 7)
	}
	for name, driven := range map[string]bool{"driven": true, "outside": false} {
		t.Run(name, func(t *testing.T) {
			l := connect(t, nil)
			if l == nil {
				return
			}
			if driven {
				l.echo(32 << 10)
			} else {
				go func() {
					_, err := io.Copy(struct{ io.Writer }{l.server}, struct{ io.Reader }{l.server})
					l.ended <- err
				}()
			}
			go func() {
				l.client.Write(big)
				l.client.CloseWrite()
			}()
			time.Sleep(20 * time.Millisecond)
			got := make([]byte, len(big))
			if _, err := io.ReadFull(l.client, got); err != nil || !bytes.Equal(got, big) {
				t.Fatalf("got other bytes, or %v", err)
			}
			if err := <-l.ended; err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		})
	}
}

// TestStall checks that a write to a client which reads nothing fails.
func TestStall(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.server.Forget()
	if ok, err := l.server.Use(l.nc, 50*time.Millisecond); !ok || err != nil {
		t.Fatal(ok, err)
	}
	var err error
	derr := l.server.Drive(func() bool {
		for err == nil {
			_, err = l.server.Write(make([]byte, 1<<20))
		}
		return true
	})
	if derr != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, %v; want a deadline that passed", derr, err)
	}
}

// TestWrite2 counts the records that two pieces make.
func TestWrite2(t *testing.T) {
	l := connect(t, &tls.Config{})
	if l == nil {
		return
	}
	for _, c := range []struct{ a, b, records int }{{10, 20, 1}, {10, 0, 1}, {0, 10, 1}, {10, 20 << 10, 0}} {
		l.below.read = nil
		if err := l.server.Write2(bytes.Repeat([]byte("a"), c.a), bytes.Repeat([]byte("b"), c.b)); err != nil {
			t.Fatal(err)
		}
		l.want(strings.Repeat("a", c.a) + strings.Repeat("b", c.b))
		var r records
		if r.follow(l.below.read); c.records > 0 && r.begun != c.records {
			t.Errorf("%d and %d bytes: %d records, want %d", c.a, c.b, r.begun, c.records)
		}
	}
}

// TestForget checks that a connection is read and written by its own methods
// afterwards, from where it was left, and under deadlines of its own.
func TestForget(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.send(bytes.Join(l.sealed("left", "over"), nil))
	var n int
	buf := make([]byte, 6)
	if err := l.server.Drive(func() bool {
		k, err := l.server.TryRead(buf[n:])
		n += k
		return err != nil && err != socket.ErrWouldBlock || n == len(buf)
	}); err != nil {
		t.Fatal(err)
	}
	l.server.Forget()
	if n, err := l.nc.Read(buf); err != nil || string(buf[:n]) != "er" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	if _, err := l.nc.Write([]byte("plain")); err != nil {
		t.Fatal(err)
	}
	l.want("plain")
	l.nc.SetReadDeadline(time.Unix(1, 0))
	if _, err := l.nc.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline that passed", err)
	}
}

// TestWake checks that a read deadline ends Drive, and that it goes on afterwards
// in the middle of a record.
func TestWake(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.echo(64)
	l.step()
	l.settle()
	b := l.sealed("halved")[0]
	l.send(b[:8])
	l.step()
	l.nc.SetReadDeadline(time.Unix(1, 0))
	if err := <-l.ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline that passed", err)
	}
	l.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	l.echo(64)
	l.send(b[8:])
	l.want("halved")
}

func TestAhead(t *testing.T) {
	b := NewBelow(nil, []byte("ahead"))
	got := make([]byte, 3)
	for _, want := range []string{"ahe", "ad"} {
		if n, err := b.Read(got); err != nil || string(got[:n]) != want {
			t.Fatalf("got %q, %v; want %q", got[:n], err, want)
		}
	}
}

// rooms is a Room for so many.
type rooms struct{ left, taken int }

func (r *rooms) Take(n int) bool { r.left--; r.taken += n; return r.left >= 0 }
func (r *rooms) Give(n int)      { r.taken -= n }

// What a client says in its handshake takes room where it is much, once, and not what it
// says afterwards.
func TestBound(t *testing.T) {
	read := func(b *Below) (n int, err error) {
		for part := make([]byte, 1<<10); len(b.ahead) > 0 && err == nil; n++ {
			_, err = b.Read(part)
		}
		return n << 10, err
	}
	r := &rooms{left: 1}
	for _, c := range []struct{ said, read, took int }{
		{16 << 10, 16 << 10, 0},
		{60 << 10, 60 << 10, large},
		{60 << 10, 17 << 10, large}, // refused: no room is left
	} {
		b := NewBelow(nil, make([]byte, c.said))
		b.Bound(r)
		n, err := read(b)
		if refused := err == errHello; n != c.read || refused != (n < c.said) || b.Unbound() != c.took {
			t.Errorf("%d bytes said: %d read, %v", c.said, n, err)
		}
	}
	r.Give(2 * large)
	b := NewBelow(nil, make([]byte, 60<<10))
	b.Bound(r)
	if took := b.Unbound(); took != 0 || r.taken != 0 {
		t.Errorf("%d and %d bytes were taken", took, r.taken)
	}
	if n, err := read(b); n != 60<<10 || err != nil {
		t.Errorf("after the handshake: %d bytes, %v", n, err)
	}
}

// FuzzFollow cuts bytes in two and expects the same of them as of the whole.
func FuzzFollow(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x02ab\x17\x03\x03\x00\x01c"), 3)
	f.Add([]byte("\x17\x03\x03\x00\x00\x17\x03\x03\x40\x00"), 5)
	f.Add([]byte("\x16\x03\x01\xff\xffx"), 1)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		if at < 0 || at > len(b) {
			return
		}
		var whole, cut records
		whole.follow(b)
		cut.follow(b[:at])
		cut.follow(b[at:])
		want := 0
		for rest := b; len(rest) > 0; want++ {
			if len(rest) < 5 {
				rest = nil
			} else {
				rest = rest[min(len(rest), 5+int(rest[3])<<8+int(rest[4])):]
			}
		}
		if whole.begun != want || whole.have != cut.have || whole.left != cut.left || whole.begun != cut.begun {
			t.Fatalf("whole %+v, cut %+v, want %d records", whole, cut, want)
		}
	})
}
