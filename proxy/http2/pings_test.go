package http2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatehouse-dev/gatehouse/proxy/frame"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
)

// torrent is a script of which much comes at once, each time what came before has been
// answered.
type torrent struct{ script }

func (c *torrent) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return c.script.Read(p)
}

// TestManyPings has so many PINGs come at once that their answers alone are as much as
// is staged at a time, with nobody else about who would have them sent.
func TestManyPings(t *testing.T) {
	s := scripted(echo)
	s.cfg.Floods.Idle = 10_000
	const n = 3 * mem.Large / 17
	in := frame.AppendSettings([]byte(http2.ClientPreface), frame.Param{ID: frame.EnablePush})
	for range n {
		in = frame.AppendPing(in, 0, []byte("a ping.."))
	}
	c := &torrent{script{in: bytes.NewReader(in)}}
	within(t, s, c)
	if got := strings.Count(c.out.String(), "a ping.."); got != n {
		t.Errorf("%d PINGs answered of %d", got, n)
	}
}
