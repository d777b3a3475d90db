package feature

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/proxy"
)

// Connections that are broken off for a flood are counted, by its kind.
func TestFloods(t *testing.T) {
	t.Parallel()
	w := Start(t, Base+Route("r", toAPI), func(o *proxy.Options) {
		o.Clients.Floods.Idle, o.Clients.Floods.Resets, o.Clients.Floods.Block = 20, 5, 3
	})
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678"
	const get = "\x82\x86\x84" + "\x41\x01a" // GET, http, /, authority a
	reset := func(id byte) string {
		return "\x00\x00\x06\x01\x04\x00\x00\x00" + string([]byte{id}) + get + "\x00\x00\x04\x03\x00\x00\x00\x00" + string([]byte{id}) + "\x00\x00\x00\x08"
	}
	var resets strings.Builder
	for id := byte(1); id < 127; id += 2 {
		resets.WriteString(reset(id))
	}
	for kind, text := range map[string]string{
		"frames": strings.Repeat(ping, 500),
		"resets": resets.String(),
		"header": "\x00\x00\x06\x01\x00\x00\x00\x00\x01" + get + strings.Repeat("\x00\x00\x00\x09\x00\x00\x00\x00\x01", 10),
	} {
		c, err := net.Dial("tcp", w.Addr(""))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, preface+text)
		got, _ := io.ReadAll(c)
		_ = c.Close()
		if !strings.Contains(string(got), "\x07\x00\x00\x00\x00\x00") {
			t.Errorf("%s: no GOAWAY came", kind)
		}
		name := `gatehouse_client_floods_total{kind="` + kind + `"}`
		w.Until(name+" is 1", func() bool { return w.Metric(name) == "1" })
	}
}
