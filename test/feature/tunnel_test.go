package feature

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// echoUpgraded is a backend that upgrades, echoes lines in upper case until the
// other side has finished, says goodbye and closes.
func echoUpgraded(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		http.Error(rw, "no upgrade", http.StatusTeapot)
		return
	}
	c, in, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Path: %s\r\n\r\nready\n", r.Header.Get("Upgrade"), r.URL.Path)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		_, _ = io.WriteString(c, strings.ToUpper(line))
	}
	_, _ = io.WriteString(c, "goodbye\n")
}

func TestUpgrade(t *testing.T) {
	w := Start(t, Base+Route("r",
		`{matches: [{path: {value: /ws}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /in}}}], timeouts: {request: 300ms}, backendRefs: [{name: api, port: 80}]}`))
	w.Backend("shop/api").Answer(echoUpgraded)
	dial := func(request string) (*net.TCPConn, *bufio.Reader, *http.Response) {
		t.Helper()
		c, err := net.Dial("tcp", w.Addr(""))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, request)
		in := bufio.NewReader(c)
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.TCPConn), in, response
	}
	const upgrade = "GET /ws/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
	// What the client sends ahead goes along.
	c, in, response := dial(upgrade + "ahead\n")
	if response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("X-Path") != "/in/chat" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	says := func(want string) {
		t.Helper()
		if line, err := in.ReadString('\n'); err != nil || line != want+"\n" {
			t.Errorf("%q %v, want %q", line, err, want)
		}
	}
	says("ready")
	says("AHEAD")
	// The route's timeout has ended with the answer's head.
	time.Sleep(400 * time.Millisecond)
	_, _ = io.WriteString(c, "later\n")
	says("LATER")
	// One side may finish while the other goes on.
	_ = c.CloseWrite()
	says("goodbye")
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the goodbye: %v", err)
	}
	// A backend that does not upgrade answers as ever; without Connection it is no upgrade.
	w.Backend("shop/api").Answer(nil)
	if _, _, response = dial(upgrade); response.StatusCode != 200 {
		t.Errorf("%d", response.StatusCode)
	}
	w.Backend("shop/api").Answer(echoUpgraded)
	if _, _, response = dial("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"); response.StatusCode != 418 {
		t.Errorf("%d", response.StatusCode)
	}
}
