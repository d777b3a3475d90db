package upstream

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// sealed makes a record of TLS 1.3, the seq-th under secret (RFC 8446, section 5.2): crypto/tls
// cannot be told to update its keys.
func sealed(secret []byte, seq, kind byte, content string) []byte {
	block, _ := aes.NewCipher(expanded(secret, "key", 16))
	aead, _ := cipher.NewGCM(block)
	nonce := expanded(secret, "iv", 12)
	nonce[11] ^= seq
	head := []byte{23, 3, 3, 0, byte(len(content) + 1 + aead.Overhead())}
	return aead.Seal(head, nonce, append([]byte(content), kind), head)
}

func expanded(secret []byte, label string, n int) []byte {
	b, _ := hkdf.Expand(sha256.New, secret, fmt.Sprintf("\x00%c%ctls13 %s\x00", n, len("tls13 "+label), label), n)
	return b
}

// TestKeyUpdateLate has a backend that asks for new keys in the middle of an answer, once the
// write deadline of the request has passed.
func TestKeyUpdateLate(t *testing.T) {
	pair, ca, _ := issue(t, "", "a.example")
	at := listen(t, func(c net.Conn) {
		var log strings.Builder
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, KeyLogWriter: &log, SessionTicketsDisabled: true})
		if _, err := http.ReadRequest(bufio.NewReader(s)); err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
		if s.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			_, _ = io.WriteString(s, "two") // not made for others
			return
		}
		var secret []byte
		for line := range strings.Lines(log.String()) {
			if f := strings.Fields(line); f[0] == "SERVER_TRAFFIC_SECRET_0" {
				secret, _ = hex.DecodeString(f[2])
			}
		}
		time.Sleep(50 * time.Millisecond)
		_, _ = c.Write(sealed(secret, 1, 22, "\x18\x00\x00\x01\x01"))
		_, _ = c.Write(sealed(expanded(secret, "traffic upd", 32), 0, 23, "two"))
		_, _ = s.Read(make([]byte, 1)) // until it has all
	})
	s := New(Config{WriteTimeout: 10 * time.Millisecond})
	defer s.Close()
	s.SetEndpoints("b", []table.Endpoint{{Address: netip.MustParseAddrPort(at.String())}})
	s.Secure("b", &table.BackendTLS{ServerName: "a.example", CAs: ca})
	if got := told(t, NewCall(), s.Backend("b", ""), time.Now()); got != "onetwo" {
		t.Errorf("got %q", got)
	}
}
