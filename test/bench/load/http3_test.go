package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	h3 "github.com/quic-go/quic-go/http3"
)

// serve3 serves HTTP/3, by quic-go's own server.
func serve3(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"one.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &h3.Server{Handler: h, TLSConfig: h3.ConfigureTLSConfig(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(socket) // until it is closed
	}()
	t.Cleanup(func() {
		_ = s.Close()
		_ = socket.Close()
		<-done
	})
	return socket.LocalAddr().String()
}

func TestHTTP3(t *testing.T) {
	addr := serve3(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Host != "one.example" || r.URL.Path != SmallPath {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(strings.Repeat("x", SmallSize)))
	})
	run := func(path string) (Totals, error) {
		return Run(context.Background(), Spec{Kind: HTTP3, Address: addr, Host: "one.example", Path: path, Connections: 2, Streams: 3, Seconds: 0.1})
	}
	if got, err := run(SmallPath); err != nil || got.Requests < 6 || got.Microseconds <= 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := run("/other"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an answer with status 404: %v", err)
	}
}

// Frames as a server may write them: nothing of an answer is taken on trust.
func TestAnswer3(t *testing.T) {
	const head = "\x01\x06\x00\x00\xd9\x54\x012" // :status 200, content-length 2
	is := func(answer string, want string) {
		t.Helper()
		err := newAnswer3().take([]byte(answer))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", answer, err, want)
		}
	}
	is(head+"\x00\x02ok", "")
	is(head+"\x00\x01o\x00\x01k", "")
	is(head+"\x00\x01o", "1 bytes of content, not 2")
	is(head+"\x00\x03oka", "3 bytes of content, not 2")
	is(head+"\x00\x02o", "a frame of type 0 and 2 bytes")
	is("\x00\x02ok", "where one of type 1 was due")
	is("\x01\x03\x00\x00\xd9", `answered "200" with content of -1 bytes`)
	is("\x01\x06\x00\x00\xdb\x54\x012\x00\x02ok", `answered "404"`)
	is("", "EOF")
}
