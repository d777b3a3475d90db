package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// sealer makes records as a client does whose keys it has: crypto/tls's client
// cannot be told to update its own.
type sealer struct {
	t      testing.TB
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// expand is HKDF-Expand-Label of an empty context (RFC 8446, section 7.1).
func (s *sealer) expand(label string, n int) []byte {
	s.t.Helper()
	info := fmt.Sprintf("%c%c%ctls13 %s%c", n>>8, n&0xff, len("tls13 "+label), label, 0)
	b, err := hkdf.Expand(sha256.New, s.secret, info, n)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// use begins with secret, after n records have been sealed with it.
func (s *sealer) use(secret []byte, n uint64) {
	s.t.Helper()
	s.secret, s.seq = secret, n
	block, err := aes.NewCipher(s.expand("key", 16))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		s.t.Fatal(err)
	}
	s.iv = s.expand("iv", 12)
}

func (s *sealer) seal(kind byte, content string) []byte {
	inner := append([]byte(content), kind)
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(inner)+s.aead.Overhead()))
	nonce := append([]byte(nil), s.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	return s.aead.Seal(head, nonce, inner, head)
}

const data, handshake = 23, 22 // kinds of records

// keyed returns a link with what its client seals records with; nil where there is none.
func keyed(t *testing.T) (*link, *sealer) {
	t.Helper()
	var log strings.Builder
	l := connect(t, &tls.Config{KeyLogWriter: &log, CurvePreferences: []tls.CurveID{tls.X25519}})
	if l == nil {
		return nil, nil
	}
	if s := l.client.ConnectionState().CipherSuite; s != tls.TLS_AES_128_GCM_SHA256 {
		t.Logf("not made for %s", tls.CipherSuiteName(s))
		return nil, nil
	}
	s := &sealer{t: t}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			s.use(secret, 0)
		}
	}
	return l, s
}

// TestKeyUpdate changes the client's key in a record that carries no content,
// alone and in pieces, and asks for the server's to change too.
func TestKeyUpdate(t *testing.T) {
	l, s := keyed(t)
	if l == nil {
		return
	}
	l.echo(64)
	l.step()
	l.send(s.seal(data, "before"))
	l.want("before")
	for i := range 4 {
		l.settle()
		update := "\x18\x00\x00\x01\x01"
		if i%2 == 0 {
			l.send(s.seal(handshake, update))
			l.step()
		} else { // in two records, each alone
			l.send(s.seal(handshake, update[:2]))
			l.step()
			l.send(s.seal(handshake, update[2:]))
		}
		s.use(s.expand("traffic upd", 32), 0)
		l.send(s.seal(data, "after"))
		l.want("after")
	}
	l.send(append(s.seal(handshake, "\x18\x00\x00\x01\x00"), func() []byte {
		s.use(s.expand("traffic upd", 32), 0)
		return s.seal(data, "together")
	}()...))
	l.want("together")
}

// TestKeyUpdateLate has a key update answered by a connection that nobody drives, as those of
// HTTP/2 and of relays, whose write deadline has passed while nothing was written, or which has none.
func TestKeyUpdateLate(t *testing.T) {
	for _, late := range []bool{true, false} {
		l, s := keyed(t)
		if l == nil {
			return
		}
		l.server.Forget()
		l.nc.SetWriteDeadline(time.Time{})
		if late {
			l.nc.SetWriteDeadline(time.Now().Add(time.Millisecond))
			time.Sleep(5 * time.Millisecond)
		}
		l.send(s.seal(handshake, "\x18\x00\x00\x01\x01"))
		s.use(s.expand("traffic upd", 32), 0)
		l.send(s.seal(data, "after"))
		got := make([]byte, 5)
		if _, err := io.ReadFull(l.nc, got); err != nil || string(got) != "after" {
			t.Fatalf("got %q, %v", got, err)
		}
		// A client that took nothing would have stuck the server in its answer.
		below := l.nc.NetConn().(*Below)
		if until := time.Until(time.Unix(0, below.until.Load())); until <= 0 || until > answerTime {
			t.Errorf("the answer had %v to be taken", until)
		}
		l.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := l.nc.Write(got); err != nil {
			t.Fatal(err)
		}
		l.want("after")
		if err := l.nc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := below.Write(got); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v behind the farewell, want a deadline that passed", err)
		}
	}
}

// TestWriteFailed has a peer that takes nothing, and writes behind what it did not take.
func TestWriteFailed(t *testing.T) {
	l := connect(t, nil)
	if l == nil {
		return
	}
	l.server.Forget()
	below := l.nc.NetConn().(*Below)
	below.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	for range 2 {
		began := time.Now()
		for err := error(nil); err == nil; {
			_, err = below.Write(make([]byte, 1<<20))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("it took %v to fail", took)
		}
	}
}

// TestIdle has a client begin a handshake message of 64 KiB, which is never whole, and then one that
// sends as much content.
func TestIdle(t *testing.T) {
	for _, driven := range []bool{true, false} {
		for kind, want := range map[byte]error{handshake: errIdle, data: nil} {
			l, s := keyed(t)
			if l == nil {
				return
			}
			var server io.Reader = l.server
			if !driven {
				l.server.Forget()
				server = Told(l.nc)
			}
			var sent strings.Builder
			text := "\x01\x00\xff\xff" + strings.Repeat("a", 64<<10)
			for rest := text; rest != ""; {
				n := min(len(rest), 16<<10)
				sent.Write(s.seal(kind, rest[:n]))
				rest = rest[n:]
			}
			go l.below.TCPConn.Write([]byte(sent.String()))
			if n, err := io.ReadFull(server, make([]byte, len(text))); !errors.Is(err, want) || want == nil && n < len(text) {
				t.Errorf("kind %d, driven %v: %d bytes, %v; want %v", kind, driven, n, err, want)
			}
		}
	}
}

// TestLongHandshake has a client whose certificates are longer than what may come without content
// after the handshake.
func TestLongHandshake(t *testing.T) {
	c := certificate()
	for leaf := c.Certificate[0]; len(c.Certificate)*len(leaf) <= mostIdle; {
		c.Certificate = append(c.Certificate, leaf)
	}
	l := connect(t, &tls.Config{Certificates: []tls.Certificate{c}})
	if l == nil {
		return
	}
	l.echo(64)
	l.step()
	if _, err := l.client.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	l.want("content")
}

// TestIdleAcrossRest has a client begin a handshake message, let its connection rest, and go on with it.
func TestIdleAcrossRest(t *testing.T) {
	l, s := keyed(t)
	if l == nil {
		return
	}
	piece := strings.Repeat("a", mostIdle*2/3)
	l.send(s.seal(handshake, "\x01\x00\xff\xff"+piece))
	l.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := l.server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v before the rest, want a deadline that passed", err)
	}
	l.server.Forget()
	if ok, err := l.server.Use(l.nc, 10*time.Second); !ok || err != nil {
		t.Fatal(ok, err)
	}
	l.send(s.seal(handshake, piece))
	l.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := l.server.Read(make([]byte, 1)); !errors.Is(err, errIdle) {
		t.Errorf("got %v, want %v", err, errIdle)
	}
}
